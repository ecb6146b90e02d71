"""Selects the tasks that count, by their unevicted answers, and the time budgets."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from benchmark.budgets.arms import FIXED
from benchmark.budgets.recorded_item import RecordedItem
from benchmark.report.bootstrap import paired_difference

LEAST_SCORE, LEAST_DECODE_SHARE = 0.15, 0.3
"""A task below these, or not above chance, is a control."""
BUDGETS, LEAST_COMPLETION, MOST_COMPLETION = 6, 0.2, 0.95


def by_task(items: Iterable[RecordedItem]) -> dict[str, list[RecordedItem]]:
    """Return the items of each task."""
    tasks: dict[str, list[RecordedItem]] = {}
    for item in items:
        tasks.setdefault(item.task, []).append(item)
    return tasks


def task_statistics(items: Sequence[RecordedItem]) -> dict[str, Any]:
    """Return what one task's unevicted answers are like, and whether a claim may rest on it.

    Chance is what the answers score as answers to the next item's question; a task is above it
    if the 95 % interval of the difference is.
    """
    whole = [item.unevicted for item in items]
    scores = [item.graded(0.0, item.unevicted.tokens)[0] for item in items]
    others = [*items[1:], items[0]]
    guesses = [other.score(answer.text()) for other, answer in zip(others, whole, strict=True)]
    above_chance = paired_difference(scores, guesses, seed=0)
    share = float(np.mean([item.unevicted.times_s[-1] / item.total_s(0.0) for item in items]))
    return {
        'n': len(items),
        'score': float(np.mean(scores)),
        'chance': float(np.mean(guesses)),
        'above_chance': above_chance,
        'decode_share': share,
        'counts_for_the_claim': float(np.mean(scores)) > LEAST_SCORE
        and above_chance['interval'][0] > 0.0
        and share >= LEAST_DECODE_SHARE,
        'prompt_tokens': _range([answer.prompt_tokens for answer in whole]),
        'response_tokens': _range([answer.tokens for answer in whole]),
        'ended_by_itself': float(np.mean([answer.finish_reason != 'LENGTH' for answer in whole])),
        'predicted_tokens_mae': float(
            np.mean([abs(answer.predicted_tokens - answer.tokens) for answer in whole])
        ),
        'scores_by_alpha': {
            alpha: float(
                np.mean([item.graded(alpha, item.answers[alpha].tokens)[0] for item in items])
            )
            for alpha in (0.0, *FIXED.values())
        },
    }


def claimed(items: Sequence[RecordedItem]) -> list[RecordedItem]:
    """Return the items of the tasks that a claim may rest on; all items if there is no such task.

    A tiny or a hopeless model has none: its figures are then worth nothing, and the report says.
    """
    groups = by_task(items)
    fit = [
        item
        for group in groups.values()
        if task_statistics(group)['counts_for_the_claim']
        for item in group
    ]
    return fit or list(items)


def placed_budgets(items: Sequence[RecordedItem]) -> list[float]:
    """Return six budgets: from where 20 % of the unevicted answers are in time to 95 % [s]."""
    totals_s = [item.total_s(0.0) for item in items]
    shares = np.linspace(LEAST_COMPLETION, MOST_COMPLETION, BUDGETS)
    return [float(f'{budget_s:.4g}') for budget_s in np.quantile(totals_s, shares)]


def _range(values: Sequence[int]) -> dict[str, float]:
    return {'least': min(values), 'mean': float(np.mean(values)), 'most': max(values)}
