"""Tries all of transformers' causal classes as tiny random models, as the worker loads them.

Each is served right (equal to generate()), served without eviction, or refused by a sentence.
"""

import argparse
import collections
import json
import logging
import sys
import tempfile
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import transformers
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from benchmark.architectures.served_tokens import first_difference
from benchmark.architectures.tiny_folders import saved_model
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS
from benchmark.report.tables import markdown_table
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.inference.loaded_engine import loaded_engine

SERVED, WITHOUT_EVICTION, REFUSED = 'served', 'served without eviction', 'refused'
WRONG, CRASHED, NOT_BUILT = 'WRONG', 'CRASHED', 'not built'


@dataclass(frozen=True)
class Row:
    """What became of a model type.

    Arguments:
        outcome: one of the constants above.
        detail: the step that serves it, the sentence that refuses it, or what is wrong.
    """

    kind: str
    cls: str
    outcome: str
    detail: str
    seconds: float


def tried(kind: str, cls: str) -> Row:
    """Build, load, check and run a model type."""
    start_s = time.monotonic()
    outcome, detail = _outcome(kind)
    return Row(kind, cls, outcome, detail, round(time.monotonic() - start_s, 1))


def _outcome(kind: str) -> tuple[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            reference = saved_model(kind, Path(folder))
        except Exception as error:
            return NOT_BUILT, str(error)
        try:
            engine = loaded_engine(
                ModelSettings(model=folder, device='cpu', dtype='float32', quantization='none')
            )
        except ValueError as error:
            return REFUSED, str(error).replace(repr(folder), '...')
        except Exception as error:
            return CRASHED, f'{type(error).__name__}: {error}'
        try:
            difference = first_difference(engine, reference)
        except Exception as error:
            return CRASHED, f'{type(error).__name__}: {error}'
        if difference:
            return WRONG, difference
        how = f'{engine.target.model.config._attn_implementation}, step {engine.step.name}'
        return (SERVED if engine.target.evicts else WITHOUT_EVICTION), how


def main() -> int:
    """Try them, print the table and keep it; return 1 if any is wrong or crashed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('kinds', nargs='*', help='model types, such as llama; without: all')
    parser.add_argument('--output', type=Path, default=RESULTS / 'architectures.json')
    arguments = parser.parse_args()
    warnings.filterwarnings('ignore')
    logging.disable(logging.WARNING)
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(1)
    rows = []
    for kind, cls in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items():
        if not arguments.kinds or kind in arguments.kinds:
            rows.append(tried(kind, cls))
            print(f'{kind}: {rows[-1].outcome} ({rows[-1].detail})', flush=True)
    ordered = sorted(rows, key=lambda row: (row.outcome, row.kind))
    head = ['model type', 'class', 'outcome', 'how, or why not']
    print(markdown_table([head, *([r.kind, r.cls, r.outcome, r.detail] for r in ordered)]))
    counts = collections.Counter(row.outcome for row in rows)
    print(', '.join(f'{count} {outcome}' for outcome, count in counts.most_common()))
    if not arguments.kinds:
        content = {
            'machine': describe_machine(),
            'transformers': transformers.__version__,
            'seed': 0,
            'counts': counts,
            'rows': [asdict(row) for row in ordered],
        }
        arguments.output.write_text(json.dumps(content, indent=1) + '\n')
    return int(counts[WRONG] + counts[CRASHED] > 0)


if __name__ == '__main__':
    sys.exit(main())
