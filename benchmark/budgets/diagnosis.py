"""Explains the figures: the plans, the change of lengths, and the gain by alpha."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from benchmark.budgets.arms import FIXED, Planning, timebill
from benchmark.budgets.recorded_item import RecordedItem


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


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
