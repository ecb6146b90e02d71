"""Chooses SnapKV's window, kernel, pooling and aggregation for the built-in model.

It uses its own development split (SEED), which no other benchmark reports. The criterion is
the mean log-likelihood of the hidden values after eviction, over both ratios and both tasks.
"""

import dataclasses
import itertools
import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from benchmark.eviction.evicted_answers import EvictedAnswers
from benchmark.eviction.needles import needle_prompt
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS
from benchmark.report.tables import screen_table
from timebill_ros.inference.cache.scorers.snapkv import SnapKV
from timebill_ros.inference.loaded_engine import loaded_engine
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.progress import Progress

SEED = 100
PROMPTS, LENGTHS, VALUES = 24, (512, 1024, 1536), (1, 6)
RATIOS = (0.75, 0.95)
WINDOWS, KERNELS, POOLINGS = (4, 16, 32), (7, 13, 21), ('avg', 'max')
AGGREGATIONS = (('max', 'max'), ('mean', 'mean'))


def main() -> int:
    """Try the grid, print it from best to worst; return the exit status."""
    grid = [
        SnapKV(
            window=window,
            kernel=kernel,
            pooling=pooling,
            window_aggregation=over_window,
            group_aggregation=over_group,
        )
        for window, kernel, pooling, (over_window, over_group) in itertools.product(
            WINDOWS, KERNELS, POOLINGS, AGGREGATIONS
        )
    ]
    engine = loaded_engine(scorer=SnapKV(window=max(WINDOWS)))
    tokenizer = engine.target.tokenizer
    found: dict[SnapKV, list[float]] = {scorer: [] for scorer in grid}
    whole: list[float] = []
    with Progress(PROMPTS, 'prompts') as progress:
        for index in range(PROMPTS):
            needle = needle_prompt(
                SEED + index,
                LENGTHS[index % len(LENGTHS)],
                lambda text: len(tokenizer(text)['input_ids']),
                VALUES[index % len(VALUES)],
            )
            right = tokenizer(', '.join(needle.values), add_special_tokens=False)['input_ids']
            ids = ChatPrompt(tokenizer).token_ids(needle.prompt)
            answers = EvictedAnswers(engine, ids, len(right))
            whole.append(answers.log_likelihood(answers.evicted(grid[0], 0.0), right))
            for scorer in grid:
                for ratio in RATIOS:
                    state = answers.evicted(scorer, ratio)
                    found[scorer].append(answers.log_likelihood(state, right))
            progress.advance(1, 'development prompts')
    ranking = sorted(
        (
            {
                **dataclasses.asdict(scorer),
                'log_likelihood': float(np.mean(values)),
                'by_ratio': {
                    ratio: float(np.mean(values[index :: len(RATIOS)]))
                    for index, ratio in enumerate(RATIOS)
                },
            }
            for scorer, values in found.items()
        ),
        key=lambda row: -row['log_likelihood'],
    )
    report = {
        'unevicted_log_likelihood': float(np.mean(whole)),
        'ranking': ranking,
        'seed': SEED,
        'n': PROMPTS,
        'machine': describe_machine(),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / 'eviction_defaults.json').write_text(json.dumps(report, indent=2) + '\n')
    print(f'unevicted: {report["unevicted_log_likelihood"]:.3f}')
    print(screen_table(_rows(ranking)))
    return 0


def _rows(ranking: list[dict[str, Any]]) -> Iterable[tuple[str, ...]]:
    shape = ('window', 'kernel', 'pooling', 'window_aggregation', 'group_aggregation')
    yield 'log-likelihood', *(f'alpha {ratio:g}' for ratio in RATIOS), *shape
    for row in ranking:
        values = (row['log_likelihood'], *row['by_ratio'].values())
        yield *(f'{value:.3f}' for value in values), *(str(row[name]) for name in shape)
