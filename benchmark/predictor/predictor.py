"""Measures the length predictor's error, beside other predictors, and its cost.

It trains all predictors on the records of collect_lengths. It tests them on two splits: a random
one, as in the paper, and one with held-out sources.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.predictor.arms import BASELINES, Study, ours
from benchmark.predictor.diagnosis import (
    by_finish_reason,
    by_mean,
    by_source,
    by_training_records,
)
from benchmark.predictor.held_out_sources import HELD_OUT_SOURCES, held_out_split
from benchmark.predictor.plot import plot
from benchmark.predictor.times import predictor_times
from benchmark.report.bootstrap import paired_difference
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS
from benchmark.report.tables import screen_table
from timebill_ros.core.length_distribution import BUCKET_TOKENS
from timebill_ros.inference.length.state_head import StateHead
from timebill_ros.inference.loaded_engine import loaded_engine
from timebill_ros.training.collected_texts import collected_texts
from timebill_ros.training.head_training import HeadSettings, head_features, train_head
from timebill_ros.training.length_agreement import length_agreement
from timebill_ros.training.length_data import (
    AGAIN_FILE,
    NEWLINE_FILE,
    LengthData,
    Split,
    only_folder,
    read_data,
)
from timebill_ros.training.length_errors import length_errors
from timebill_ros.training.length_file import read_lengths
from timebill_ros.training.length_objectives import BucketObjective
from timebill_ros.training.state_file import state_shape

FACTORS = tuple(range(1, 9))
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


def main() -> int:
    """Train, measure, report; return the exit status."""
    options = _options()
    start_s, machine = time.monotonic(), describe_machine()
    engine = loaded_engine()
    try:
        folder = options.folder or only_folder()
        data = read_data(folder, state_shape(engine.target.model))
        texts = collected_texts(data, options.seed)
        ceiling = _ceiling(data, folder / AGAIN_FILE)
        newline = _ceiling(data, folder / NEWLINE_FILE)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    study = Study(data, texts, engine.target, options.seed)
    random, held_out = data.random_split(), held_out_split(data)
    predicted = {'random': _all_arms(study, random), 'held_out': _all_arms(study, held_out)}
    head, probabilities = _head(study, random)
    report: dict[str, Any] = {
        **_errors(predicted['random'], data, random),
        'ceiling': ceiling,
        'line_break_behind_the_prompt': newline,
        'held_out_source': {
            **_errors(predicted['held_out'], data, held_out),
            'sources': sorted(HELD_OUT_SOURCES),
        },
        'by_source': by_source(predicted['random']['ours'], data, random),
        'by_finish_reason': by_finish_reason(predicted['random']['ours'], data, random),
        'by_mean': by_mean(probabilities, data, random),
        'by_training_records': by_training_records(study, random),
        'coverage_by_k': _coverage(predicted['random']['ours'], data, random),
        'coverage_by_quantile': _calibration(probabilities, data, random),
        'records': len(data.records),
        'split': {part: len(rows) for part, rows in vars(random).items()},
    }
    times = predictor_times(engine, head, options.seed)
    at_1024 = next(row for row in times if row.prompt_tokens == 1024)
    report |= {
        'predict_ms': at_1024.predict_ms,
        'prefill_ms': at_1024.prefill_ms,
        'added_prefill_percent': {row.prompt_tokens: row.added_percent for row in times},
        'times': [asdict(row) for row in times],
        'target': asdict(data.key),
        'seed': options.seed,
        'machine': machine,
        'run_time_s': round(time.monotonic() - start_s, 1),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / 'predictor.json').write_text(json.dumps(report, indent=2) + '\n')
    plot(report, predicted['random'], data, random, RESULTS / 'predictor.png')
    print(_table(report))
    return 0


def _all_arms(study: Study, split: Split) -> dict[str, NDArray[np.float64]]:
    return {'ours': ours(study, split)} | {
        name: arm(study, split) for name, arm in BASELINES.items()
    }


def _errors(
    predicted: dict[str, NDArray[np.float64]], data: LengthData, split: Split
) -> dict[str, Any]:
    """Return each arm's errors on the test records, and how much worse than ours it is."""
    actual = data.response_tokens[split.test]
    errors = {
        name: np.abs(lengths[split.test] - actual).tolist() for name, lengths in predicted.items()
    }
    found: dict[str, dict[str, Any]] = {
        name: {
            **asdict(length_errors(lengths[split.test], actual)),
            'mae_over_ours_interval': paired_difference(errors[name], errors['ours'], seed=0)[
                'interval'
            ],
        }
        for name, lengths in predicted.items()
    }
    own_errors = found.pop('ours')
    own_errors.pop('mae_over_ours_interval')
    return {'ours': own_errors, 'baselines': found}


def _head(study: Study, split: Split) -> tuple[StateHead, NDArray[np.float64]]:
    settings = HeadSettings()
    depth = study.target.model.config.get_text_config().num_hidden_layers
    objective = BucketObjective(study.data.response_tokens)
    head = train_head(study.data, split, depth, objective, settings, study.seed)
    with torch.inference_mode():
        logits = head.logits(head_features(head, study.data, settings))
    return head, logits.double().softmax(-1).mean(0).numpy()


def _ceiling(data: LengthData, path: Path) -> dict[str, Any]:
    """Return how well another run of the target tells these lengths, over all it has answered."""
    key, again = read_lengths(path)
    agreement = length_agreement(data.records, again)
    return {
        **asdict(agreement.errors),
        'identical': agreement.identical,
        'correlation': agreement.correlation,
        'numerics': f'{key.dtype}, quantization {key.quantization}, {key.step}',
    }


def _coverage(predicted: NDArray[np.float64], data: LengthData, split: Split) -> dict[int, float]:
    """Return the share of answers that are no longer than k * N_hat."""
    actual, expected = data.response_tokens[split.test], predicted[split.test]
    return {k: float((actual <= k * expected).mean()) for k in FACTORS}


def _calibration(
    probabilities: NDArray[np.float64], data: LengthData, split: Split
) -> dict[float, float]:
    """Return the share of answers that are no longer than each quantile of the distribution."""
    actual = data.response_tokens[split.test]
    cumulative = np.cumsum(probabilities[split.test], axis=1)
    return {
        q: float((actual <= ((cumulative >= q - 1e-9).argmax(axis=1) + 1) * BUCKET_TOKENS).mean())
        for q in QUANTILES
    }


def _table(report: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]] = [
        ('', 'MAE', 'RMSE', 'R2', 'held-out sources: MAE', 'R2', 'n', 'of equal length', 'r')
    ]
    held_out = report['held_out_source']
    others = {'ours': held_out['ours'], **held_out['baselines']}
    for name, row in {'ours': report['ours'], **report['baselines']}.items():
        other = others[name]
        rows.append((name, *_error_cells(row), f'{other["mae"]:.1f}', f'{other["r2"]:.3f}'))
    for name, key in (('ceiling', 'ceiling'), ('line break', 'line_break_behind_the_prompt')):
        row = report[key]
        agreement = f'{row["identical"]:.0%}', f'{row["correlation"]:.2f}'
        rows.append((name, *_error_cells(row), '', '', str(row['n']), *agreement))
    by = {'by its mean': report['by_mean']}
    by |= {f'of {n} records': row for n, row in report['by_training_records'].items()}
    by |= {f'ours, {name}': row for name, row in report['by_finish_reason'].items()}
    rows += [(name, *_error_cells(row), '', '', str(row['n'])) for name, row in by.items()]
    lines = [screen_table(rows), f'coverage by k: {_shares(report["coverage_by_k"])}']
    lines += [f'coverage by quantile: {_shares(report["coverage_by_quantile"])}']
    for row in report['times']:
        lines.append(
            f'{row["prompt_tokens"]:5} tokens: prefill {row["prefill_ms"]:.1f} ms, '
            f'{row["added_percent"]:+.1f} % with the predictor, whose head takes '
            f'{row["predict_ms"]:.2f} ms and is ready {row["left_ms"]:.1f} ms before the end '
            f'({100 * row["ready_share"]:.0f} % before it)'
        )
    return '\n'.join(lines)


def _error_cells(row: dict[str, float]) -> tuple[str, str, str]:
    return f'{row["mae"]:.1f}', f'{row["rmse"]:.1f}', f'{row["r2"]:.3f}'


def _shares(shares: dict[Any, float]) -> str:
    return ', '.join(f'{name}: {100 * share:.1f} %' for name, share in shares.items())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--folder', type=Path, help='of the lengths; default: the one in the cache'
    )
    parser.add_argument('--seed', type=int, default=0, help='of prompts and training; default: 0')
    return parser.parse_args()
