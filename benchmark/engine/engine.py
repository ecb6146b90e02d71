"""Measures prefill and decoding of the engine, beside transformers and llama.cpp.

Each arm is its own process, with the same weights and number of threads. The arms take turns, so
that a slow minute of the machine affects all of them.
"""

import json
import random
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch

from benchmark.engine.agreement import PROMPTS, TOKENS, agreement
from benchmark.engine.plot import plot
from benchmark.engine.speculation import speculation
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS
from benchmark.report.tables import screen_table
from timebill_ros.progress import Progress

SEED = 20251124
LENGTHS = (128, 512, 1024, 2048, 4096)
NEW_TOKENS = 65
"""The first comes from the prefill, so 64 steps."""
ROUNDS = 3
"""The first warms up and is not counted."""
SHORT_ANSWER = (512, 64)
MEASURED = (
    'ours',
    'ours_int8',
    'ours_none',
    'transformers',
    'llama_cpp',
    'llama_cpp_flash',
)
AGREEING = ('ours', 'ours_int8', 'ours_none', 'transformers', 'llama_cpp')
KV_BYTES_PER_TOKEN = 30 * 2 * 3 * 64 * 2
"""Of the built-in model, in bf16."""


class ArmProcess:
    """An arm in a process of its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'benchmark.engine.arms', name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.described = self._read()
        self.is_missing = 'missing' in self.described

    def ask(self, **task: Any) -> dict[str, Any]:
        """Return what the arm found."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task) + '\n')
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f'arm {self.name} ended with {self._process.wait()}')
        return json.loads(line)


def main() -> int:
    """Run, write the JSON and the figure, print the table."""
    start_s, machine = time.monotonic(), describe_machine()
    bandwidth = memory_bandwidth_gb_s()
    arms = [ArmProcess(name) for name in MEASURED]
    missing = {arm.name: arm.described['missing'] for arm in arms if arm.is_missing}
    arms = [arm for arm in arms if not arm.is_missing]
    runs = _measure(arms)
    by_name = {arm.name: arm for arm in arms}
    with Progress(len(PROMPTS) * (len(AGREEING) + 1), 'answers') as progress:
        reference = ArmProcess('transformers_fp32')
        found = agreement(
            reference, [by_name[name] for name in AGREEING if name in by_name], progress
        )
    for arm in (*arms, reference):
        arm.close()
    speculated = speculation()
    lengths = {str(n): {arm.name: _summary(runs[arm.name, n]) for arm in arms} for n in LENGTHS}
    result = {
        'lengths': lengths,
        'ratios': {n: _ratios(found_arms) for n, found_arms in lengths.items()},
        'short_answer_ratio': _short_answer_ratio(runs, by_name),
        'bandwidth_gb_s': bandwidth,
        'step_bytes': {
            str(n): by_name['ours'].described['weight_bytes'] + KV_BYTES_PER_TOKEN * n
            for n in LENGTHS
        },
        'bandwidth_limit_ms': {},
        'longest_unchecked_ms': max(
            1000 * run['unchecked_s'] for n in LENGTHS for run in runs['ours', n]
        ),
        'greedy_agreement': found,
        'speculation': speculated,
        'missing_arms': missing,
        'samples': {
            'rounds': ROUNDS - 1,
            'steps_per_round': NEW_TOKENS - 1,
            'prompts': len(PROMPTS),
            'tokens': TOKENS,
        },
        'seed': SEED,
        'run_time_s': round(time.monotonic() - start_s, 1),
        'machine': machine,
    }
    result['bandwidth_limit_ms'] = {
        n: count / bandwidth / 1e6 for n, count in result['step_bytes'].items()
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / 'engine.json').write_text(json.dumps(result, indent=2) + '\n')
    plot(result, RESULTS / 'engine.png')
    _print_table(result)
    print(f'{RESULTS / "engine.json"}, engine.png; {result["run_time_s"]} s')
    return 0


def memory_bandwidth_gb_s() -> float:
    """Return how fast this machine reads memory on all threads: the best of 20 passes."""
    block = torch.ones(100_000_000)
    best_s = float('inf')
    for _ in range(20):
        start_s = time.perf_counter()
        block.sum()
        best_s = min(best_s, time.perf_counter() - start_s)
    return block.nbytes / best_s / 1e9


def _measure(arms: list[ArmProcess]) -> dict[tuple[str, int], list[dict[str, Any]]]:
    runs: dict[tuple[str, int], list[dict[str, Any]]] = {}
    chance = random.Random(SEED)
    with Progress(ROUNDS * len(LENGTHS) * len(arms), 'runs') as progress:
        for number in range(ROUNDS):
            for length in LENGTHS:
                for arm in chance.sample(arms, len(arms)):
                    run = arm.ask(length=length, tokens=NEW_TOKENS, seed=SEED + number)
                    if number > 0:
                        runs.setdefault((arm.name, length), []).append(run)
                    progress.advance(1, f'{arm.name}, {length} tokens')
    return runs


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    first_s = [run['known_s'][0] for run in runs]
    steps_ms = 1000 * np.concatenate([np.diff(run['known_s']) for run in runs])
    return {
        'prefill_s': float(np.median(first_s)),
        'prefill_s_runs': first_s,
        'first_token_s': float(np.median(first_s)),
        'step_ms': {
            'p50': float(np.percentile(steps_ms, 50)),
            'p99': float(np.percentile(steps_ms, 99)),
            'max': float(steps_ms.max()),
            'n': len(steps_ms),
        },
        'tokens_per_s': float(1000 / steps_ms.mean()),
        'rss_mb': max(run['rss_mb'] for run in runs),
    }


def _ratios(arms: dict[str, Any]) -> dict[str, float | None]:
    def ratio(figure: Any, other: str) -> float | None:
        return figure(arms['ours']) / figure(arms[other]) if other in arms else None

    def step(arm: dict[str, Any]) -> float:
        return arm['step_ms']['p50']

    def prefill(arm: dict[str, Any]) -> float:
        return arm['prefill_s']

    return {
        'step_vs_llama_cpp': ratio(step, 'llama_cpp'),
        'step_vs_llama_cpp_flash': ratio(step, 'llama_cpp_flash'),
        'step_vs_transformers': ratio(step, 'transformers'),
        'prefill_vs_llama_cpp': ratio(prefill, 'llama_cpp'),
        'prefill_vs_transformers': ratio(prefill, 'transformers'),
    }


def _short_answer_ratio(runs: Any, arms: dict[str, ArmProcess]) -> float:
    length, tokens = SHORT_ANSWER

    def total_s(name: str) -> float:
        return float(np.median([run['known_s'][tokens - 1] for run in runs[name, length]]))

    others = [name for name in ('transformers', 'llama_cpp', 'llama_cpp_flash') if name in arms]
    return total_s('ours') / min(total_s(name) for name in others)


def _print_table(result: dict[str, Any]) -> None:
    rows = [('prefill, step', *result['lengths'])]
    for name in MEASURED:
        if name in result['missing_arms']:
            print(f'{name} is missing: {result["missing_arms"][name]}')
            continue
        found = [arms[name] for arms in result['lengths'].values()]
        cells = [f'{arm["prefill_s"]:.2f} s {arm["step_ms"]["p50"]:5.1f} ms' for arm in found]
        rows.append((name, *cells))
    for key in next(iter(result['ratios'].values())):
        values = [ratios[key] for ratios in result['ratios'].values()]
        rows.append((key, *('-' if value is None else f'{value:.2f}' for value in values)))
    limits = result['bandwidth_limit_ms'].values()
    rows.append(('memory limit of a step', *(f'{ms:.1f} ms' for ms in limits)))
    print(screen_table(rows))
    print(
        f'short answer, 512 + 64 tokens: {result["short_answer_ratio"]:.2f} of the better other; '
        f'longest unchecked interval {result["longest_unchecked_ms"]:.0f} ms'
    )
    for name, found in result['greedy_agreement'].items():
        print(
            f'{name}: {found["identical"]} of {found["prompts"]} answers as fp32, '
            f'{found["common_tokens"]:.1f} of {found["tokens"]:.1f} tokens until they part'
        )
    for name in ('copying', 'free_text'):
        found = result['speculation'][name]
        print(
            f'guessed tokens, {name}: {found["speedup"]:.2f} times as fast, '
            f'{found["tokens_per_pass"]:.2f} tokens a pass; '
            f'{found["identical"]} of {found["n"]} answers the same'
        )
