"""Replays recorded answers under a time budget: which are in time, and how they score.

Pure: the time stamps of an answer tell its outcome for every budget and overrun policy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from benchmark.budgets.arms import Choose
from benchmark.budgets.recorded_item import RecordedItem

KILL, SKIP_NEXT, PARTIAL = 'kill', 'skip_next', 'partial'
STRATEGIES = (KILL, SKIP_NEXT, PARTIAL)
ORDERS = 20
"""Random orders of arrival that SKIP_NEXT is averaged over."""


@dataclass(frozen=True)
class Outcome:
    """What one item gave.

    Arguments:
        score: the task's, in [0, 1]; a miss scores 0.
        fidelity: ROUGE-L to the unevicted answer; a miss has 0.
        completion: 1 if the answer ended, by itself or at N_max, within the budget.
        late_score: under SKIP_NEXT the score if late answers counted in full; else the score.
    """

    score: float
    fidelity: float
    completion: float
    late_score: float


MISSED = Outcome(0.0, 0.0, 0.0, 0.0)


def replay(
    items: Sequence[RecordedItem], choose: Choose, budget_s: float, strategy: str, seed: int
) -> list[Outcome]:
    """Return each item's outcome.

    KILL: a late answer is worth nothing. SKIP_NEXT: items arrive one budget after the other; a
    late one runs on to its end, is worth nothing, and those that should have begun meanwhile are
    skipped and worth nothing. PARTIAL: what is there at the deadline is graded as it is.

    Arguments:
        choose: the arm.
        budget_s: T, for every item [s].
        seed: of the orders of arrival.
    """
    alphas = [choose(item, budget_s) for item in items]
    alone = [
        _alone(item, alpha, budget_s, strategy) for item, alpha in zip(items, alphas, strict=True)
    ]
    if strategy != SKIP_NEXT:
        return alone
    durations_s = [item.total_s(alpha) for item, alpha in zip(items, alphas, strict=True)]
    share = share_begun(durations_s, budget_s, seed)
    return [
        Outcome(
            score=begun * outcome.score,
            fidelity=begun * outcome.fidelity,
            completion=begun * outcome.completion,
            late_score=begun * outcome.late_score,
        )
        for begun, outcome in zip(share, alone, strict=True)
    ]


def _alone(item: RecordedItem, alpha: float, budget_s: float, strategy: str) -> Outcome:
    """Return the outcome of an item that begins when it arrives."""
    answer = item.answers[alpha]
    whole = item.graded(alpha, answer.tokens)
    if item.total_s(alpha) <= budget_s:
        return Outcome(*whole, 1.0, whole[0])
    if strategy == PARTIAL:
        cut = item.graded_within(alpha, budget_s)
        return Outcome(*cut, 0.0, cut[0])
    return Outcome(0.0, 0.0, 0.0, whole[0] if strategy == SKIP_NEXT else 0.0)


def share_begun(durations_s: Sequence[float], period_s: float, seed: int) -> list[float]:
    """Return in which share of the orders of arrival each item is begun, not skipped."""
    random = Random(seed)
    begun = np.zeros(len(durations_s))
    for _ in range(ORDERS):
        free_s = 0.0
        for place, index in enumerate(random.sample(range(len(durations_s)), len(durations_s))):
            if place * period_s >= free_s:
                begun[index] += 1
                free_s = place * period_s + durations_s[index]
    return [float(share) for share in begun / ORDERS]
