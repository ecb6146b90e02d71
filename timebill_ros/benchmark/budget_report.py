"""From recorded items to the figures: scores, completion, intervals, aims and diagnosis."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from timebill_ros.benchmark.bootstrap import paired_difference
from timebill_ros.benchmark.budget_arms import (
    FIXED,
    TIMEBILL,
    VANILLA,
    Choose,
    Planning,
    all_arms,
    timebill,
)
from timebill_ros.benchmark.budget_replay import PARTIAL, STRATEGIES, Outcome, replay
from timebill_ros.benchmark.recorded_item import RecordedItem

LEAST_SCORE, LEAST_DECODE_SHARE = 0.15, 0.3
"""A task below these, or not above chance, is a control."""
BUDGETS, LEAST_COMPLETION, MOST_COMPLETION = 6, 0.2, 0.95
COMPLETION_TOLERANCE = 0.02


def by_task(items: Iterable[RecordedItem]) -> dict[str, list[RecordedItem]]:
    """Return the items of each task."""
    tasks: dict[str, list[RecordedItem]] = {}
    for item in items:
        tasks.setdefault(item.task, []).append(item)
    return tasks


def task_statistics(items: Sequence[RecordedItem]) -> dict[str, Any]:
    """Return what one task's unevicted answers are like, and whether a claim may rest on it.

    Chance is what the answers score as answers to the next item's question.
    """
    whole = [item.unevicted for item in items]
    score = float(np.mean([item.graded(0.0, item.unevicted.tokens)[0] for item in items]))
    others = [*items[1:], items[0]]
    chance = float(
        np.mean([other.score(answer.text()) for other, answer in zip(others, whole, strict=True)])
    )
    share = float(np.mean([item.unevicted.times_s[-1] / item.total_s(0.0) for item in items]))
    return {
        'n': len(items),
        'score': score,
        'chance': chance,
        'decode_share': share,
        'counts_for_the_claim': len(items) > 1
        and score > max(LEAST_SCORE, chance)
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
    return [round(float(budget_s), 3) for budget_s in np.quantile(totals_s, shares)]


def results(
    items: Sequence[RecordedItem], budgets_s: Iterable[float], planning: Planning, seed: int
) -> dict[str, Any]:
    """Return the figures by strategy, budget and arm."""
    return {
        strategy: {
            f'{budget_s:g}': at_budget(
                items, all_arms(planning, strategy == PARTIAL), budget_s, strategy, seed
            )
            for budget_s in budgets_s
        }
        for strategy in STRATEGIES
    }


def at_budget(
    items: Sequence[RecordedItem],
    arms: Mapping[str, Choose],
    budget_s: float,
    strategy: str,
    seed: int,
    reference: str = TIMEBILL,
) -> dict[str, Any]:
    """Return each arm's figures, and its score's difference to a reference's with an interval.

    Arguments:
        reference: the arm that the others are held against.
    """
    outcomes = {
        name: replay(items, choose, budget_s, strategy, seed) for name, choose in arms.items()
    }
    ours = [outcome.score for outcome in outcomes[reference]]
    return {
        name: {
            **_means(found),
            'n': len(found),
            f'less_{reference}': paired_difference(
                [outcome.score for outcome in found], ours, seed
            ),
        }
        for name, found in outcomes.items()
    }


def aims(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return, by strategy, whether what the paper claims holds, and where it does not."""
    rivals = (VANILLA, *FIXED)
    report: dict[str, Any] = {}
    for strategy, budgets in found.items():
        below = [
            f'{arm} at {budget} s'
            for budget, arms in budgets.items()
            for arm in rivals
            if arms[arm]['less_timebill']['interval'][0] > 0.0
        ]
        never_above = [
            arm
            for arm in rivals
            if all(arms[arm]['less_timebill']['mean'] >= 0.0 for arms in budgets.values())
        ]
        fewer = [
            f'{budget} s'
            for budget, arms in budgets.items()
            if arms[TIMEBILL]['completion'] < arms['alpha_95']['completion'] - COMPLETION_TOLERANCE
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


def diagnosis(
    items: Sequence[RecordedItem], budgets_s: Iterable[float], planning: Planning
) -> dict[str, Any]:
    """Return what TimeBill's plans were like at each budget, over the items that had one.

    length_covered: N_W was not shorter than the answer at the ratio used; worst_case_held: among
    those, t_wcet was not shorter than what was measured.
    """
    choose, found = timebill(planning), {}
    for budget_s in budgets_s:
        begun = [item for item in items if item.prefill_s < budget_s]
        plans = [planning.plan(item, budget_s, item.unevicted.predicted_tokens) for item in begun]
        used = [choose(item, budget_s) for item in begun]
        covered = [
            plan.worst_case_response_tokens >= item.answers[alpha].tokens
            for item, plan, alpha in zip(begun, plans, used, strict=True)
        ]
        held = [
            plan.worst_case_time_s >= item.total_s(alpha)
            for item, plan, alpha, is_covered in zip(begun, plans, used, covered, strict=True)
            if is_covered
        ]
        found[f'{budget_s:g}'] = {
            'prefilled_in_time': len(begun) / len(items),
            'mean_alpha': _mean(used),
            'length_covered': _mean(covered),
            'worst_case_held': _mean(held),
        }
    return found


def length_ratios(items: Sequence[RecordedItem]) -> dict[str, Any]:
    """Return N(alpha) / N(0): median, and the share of answers that grew, by fixed alpha."""
    report = {}
    for alpha in FIXED.values():
        ratios = [item.answers[alpha].tokens / item.unevicted.tokens for item in items]
        report[str(alpha)] = {
            'median': float(np.median(ratios)),
            'mean': float(np.mean(ratios)),
            'grew': float(np.mean([ratio > 1.0 for ratio in ratios])),
        }
    return report


def leverage(items: Sequence[RecordedItem], planning: Planning) -> dict[str, Any]:
    """Return what alpha alone buys: of a step by the time model, and of what was measured."""
    highest = max(FIXED.values())
    steps = [planning.time_model.leverage(item.unevicted.prompt_tokens, highest) for item in items]
    per_token = [
        1.0 - _step_s(item, highest) / _step_s(item, 0.0)
        for item in items
        if min(item.unevicted.tokens, item.answers[highest].tokens) > 1
    ]
    totals = [1.0 - item.total_s(highest) / item.total_s(0.0) for item in items]
    return {
        'alpha': highest,
        'of_a_step_predicted': _mean(steps),
        'of_a_step_measured': _mean(per_token),
        'of_the_whole_measured': _mean(totals),
    }


def _step_s(item: RecordedItem, alpha: float) -> float:
    times_s = item.answers[alpha].times_s
    return (times_s[-1] - times_s[0]) / (len(times_s) - 1)


def _means(outcomes: Sequence[Outcome]) -> dict[str, float]:
    return {
        name: float(np.mean([getattr(outcome, name) for outcome in outcomes]))
        for name in ('score', 'fidelity', 'completion', 'late_score')
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _range(values: Sequence[int]) -> dict[str, float]:
    return {'least': min(values), 'mean': float(np.mean(values)), 'most': max(values)}
