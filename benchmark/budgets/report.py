"""Computes the figures from recorded items: scores, completion, intervals and aims."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.budgets.arms import (
    EXPECTED,
    FIXED,
    FOUR_BIT,
    TIMEBILL,
    VANILLA,
    Choose,
    Planning,
    all_arms,
    fixed,
)
from benchmark.budgets.recorded_item import RecordedItem
from benchmark.budgets.replay import PARTIAL, STRATEGIES, Outcome, replay
from benchmark.report.bootstrap import paired_difference

COMPLETION_TOLERANCE = 0.02
PLANNED = (TIMEBILL, EXPECTED)
"""The arms that the others are held against."""


def results(
    items: Sequence[RecordedItem], budgets_s: Iterable[float], planning: Planning, seed: int
) -> dict[str, Any]:
    """Return the figures by strategy, budget and arm."""
    rivals = [rival for item in items if (rival := item.by_four_bit()) is not None]
    found: dict[str, Any] = {}
    for strategy in STRATEGIES:
        arms = all_arms(planning, strategy == PARTIAL)
        found[strategy] = {}
        for budget_s in budgets_s:
            outcomes = _outcomes(items, arms, budget_s, strategy, seed)
            if len(rivals) == len(items):
                outcomes[FOUR_BIT] = replay(rivals, fixed(0.0), budget_s, strategy, seed)
            found[strategy][f'{budget_s:g}'] = _compared(outcomes, PLANNED, seed)
    return found


def results_in_short(
    items: Sequence[RecordedItem], budgets_s: Iterable[float], planning: Planning, seed: int
) -> dict[str, Any]:
    """Return score and completion only, for a single task."""
    return {
        strategy: {
            budget: {
                name: {measure: round(arm[measure], 4) for measure in ('score', 'completion')}
                for name, arm in arms.items()
            }
            for budget, arms in budgets.items()
        }
        for strategy, budgets in results(items, budgets_s, planning, seed).items()
    }


def at_budget(
    items: Sequence[RecordedItem],
    arms: Mapping[str, Choose],
    budget_s: float,
    strategy: str,
    seed: int,
    reference: str,
) -> dict[str, Any]:
    """Return each arm's figures, and its score's difference to a reference's with an interval.

    Arguments:
        reference: the arm that the others are held against.
    """
    return _compared(_outcomes(items, arms, budget_s, strategy, seed), (reference,), seed)


def aims(found: Mapping[str, Any], planned: str) -> dict[str, Any]:
    """Return, by strategy, whether what the paper claims holds, and where it does not.

    Arguments:
        found: as results returns.
        planned: the arm that it is claimed of, one of PLANNED.
    """
    report: dict[str, Any] = {}
    for strategy, budgets in found.items():
        measured = next(iter(budgets.values()))
        rivals = [arm for arm in (VANILLA, *FIXED, FOUR_BIT) if arm in measured]
        below = [
            f'{arm} at {budget} s'
            for budget, arms in budgets.items()
            for arm in rivals
            if arms[arm][f'less_{planned}']['interval'][0] > 0.0
        ]
        never_above = [
            arm
            for arm in rivals
            if all(arms[arm][f'less_{planned}']['mean'] >= 0.0 for arms in budgets.values())
        ]
        fewer = [
            f'{budget} s'
            for budget, arms in budgets.items()
            if arms[planned]['completion'] < arms['alpha_95']['completion'] - COMPLETION_TOLERANCE
        ]
        report[strategy] = {
            'never_below_a_fixed_arm': not below,
            'below': below,
            'above_each_fixed_arm_somewhere': not never_above,
            'never_above': never_above,
            'completes_as_often_as_alpha_95': not fewer,
            'completes_less_often': fewer,
        }
    return report


def _means(outcomes: Sequence[Outcome]) -> dict[str, float]:
    return {
        name: float(np.mean([getattr(outcome, name) for outcome in outcomes]))
        for name in ('score', 'fidelity', 'completion', 'late_score')
    }


def _outcomes(
    items: Sequence[RecordedItem],
    arms: Mapping[str, Choose],
    budget_s: float,
    strategy: str,
    seed: int,
) -> dict[str, list[Outcome]]:
    return {name: replay(items, choose, budget_s, strategy, seed) for name, choose in arms.items()}


def _compared(
    outcomes: Mapping[str, Sequence[Outcome]], references: Iterable[str], seed: int
) -> dict[str, Any]:
    scores = {name: [outcome.score for outcome in found] for name, found in outcomes.items()}
    return {
        name: {
            **_means(found),
            'n': len(found),
            **{
                f'less_{reference}': paired_difference(scores[name], scores[reference], seed)
                for reference in references
            },
        }
        for name, found in outcomes.items()
    }
