"""Measures prefill and decoding of the engine, beside other engines.

Each arm is its own process, with the same weights and number of threads. The arms take turns, so
that a slow minute of the machine affects all of them. `make bench-engine-peers` makes the
environments of the other engines; what is not there is left out.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmark.engine.built_in import measured_built_in
from benchmark.engine.file_model import file_kind, measured_file
from benchmark.engine.peer import PEERS
from benchmark.engine.plan import QUICK, Plan
from benchmark.engine.plot import plot
from benchmark.engine.speculation import speculation
from benchmark.engine.stage import SEED
from benchmark.engine.summary import aims
from benchmark.engine.table import print_tables
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS


def main() -> int:
    """Run, write the JSON and the figure, print the tables; return the exit status."""
    parser = argparse.ArgumentParser(prog='bench-engine', description=__doc__)
    parser.add_argument(
        '--file', type=Path, action='append', default=[], help='a GGUF file, measured too'
    )
    parser.add_argument(
        '--llama-python', default='', help='interpreter with llama-cpp-python; default: its own'
    )
    parser.add_argument('--quick', action='store_true', help='a few runs; writes no file')
    options = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        result = measured(options)
    except ValueError as error:
        print(f'bench-engine: {error}', file=sys.stderr)
        return 1
    print_tables(result)
    if not options.quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / 'engine.json').write_text(json.dumps(result, indent=2) + '\n')
        plot(result, RESULTS / 'engine.png')
        print(f'{RESULTS / "engine.json"}, engine.png; {result["run_time_s"]} s')
    return 0


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Return the content of engine.json.

    Raises:
        ValueError: a file or an interpreter is not there, or ours fails; one sentence.
    """
    for path in (*options.file, *([Path(options.llama_python)] if options.llama_python else [])):
        if not path.is_file():
            raise ValueError(f'{str(path)!r} is no file')
    kinds = {path: file_kind(path) for path in options.file}
    start_s, machine = time.monotonic(), describe_machine()
    plan, threads = QUICK if options.quick else Plan(), torch.get_num_threads()
    llama_python = options.llama_python
    result = measured_built_in(plan, threads, llama_python, memory_bandwidth_gb_s())
    result['files'] = {
        kind: measured_file(path.absolute(), plan, threads, llama_python)
        for path, kind in kinds.items()
    }
    result['speculation'] = speculation() if plan.guesses else None
    result['aims'] = aims(result, [peer.name for peer in PEERS])
    return {
        **result,
        'samples': {
            'rounds': plan.rounds - 1,
            'steps_per_round': plan.new_tokens - 1,
            'answers': plan.prompts,
            'answer_tokens': plan.answer_tokens,
        },
        'peers': {peer.name: peer.requirements[0] for peer in PEERS},
        'seed': SEED,
        'run_time_s': round(time.monotonic() - start_s, 1),
        'machine': machine,
    }


def memory_bandwidth_gb_s() -> float:
    """Return how fast this machine reads memory on all threads: the best of 20 passes."""
    block = torch.ones(100_000_000)
    best_s = float('inf')
    for _ in range(20):
        start_s = time.perf_counter()
        block.sum()
        best_s = min(best_s, time.perf_counter() - start_s)
    return block.nbytes / best_s / 1e9
