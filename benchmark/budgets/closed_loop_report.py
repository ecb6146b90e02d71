"""The figures of `make bench-closed_loop`: scores, completion, intervals and aims."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.budgets.closed_loop_arms import ARMS, CLOSED, FIXED, HINDSIGHT
from benchmark.budgets.closed_loop_outcome import Outcome
from benchmark.budgets.replay import KILL, PARTIAL, SKIP_NEXT, STRATEGIES, share_begun
from benchmark.report.bootstrap import paired_difference
from benchmark.report.tables import screen_table

REGIMES = ('cold', 'standing')
SEED = 2726
"""Of the items that are reported."""
NAMES = (*ARMS, HINDSIGHT)
TOLERANCE = 0.02
Key = tuple[str, str, str, str]
"""Regime, strategy, budget and arm."""


def compared(
    found: Mapping[Key, Sequence[Outcome]],
    regime: str,
    budgets_s: Sequence[float],
) -> dict[str, Any]:
    """Return a regime's figures by strategy, budget and arm, and whether the aims are met."""
    report: dict[str, Any] = {}
    for strategy in STRATEGIES:
        report[strategy] = {}
        for budget_s in budgets_s:
            budget = f'{budget_s:g}'
            arms = {
                name: found[regime, PARTIAL if strategy == PARTIAL else KILL, budget, name]
                for name in NAMES
            }
            weights = {name: _weights(runs, budget_s, strategy) for name, runs in arms.items()}
            scores = {
                name: [run.score * weight for run, weight in zip(runs, weights[name], strict=True)]
                for name, runs in arms.items()
            }
            report[strategy][budget] = {
                name: {
                    'score': float(np.mean(scores[name])),
                    'completion': float(
                        np.mean([run.completion for run in runs] * np.array(weights[name]))
                    ),
                    'n': len(runs),
                    'evicted': float(np.mean([run.alpha > 0.0 for run in runs])),
                    'evict_at': float(np.mean([run.evict_at for run in runs])),
                    'less_closed_loop': paired_difference(scores[name], scores[CLOSED], SEED),
                }
                for name, runs in arms.items()
            }
    report['aims'] = {strategy: aims(report[strategy]) for strategy in STRATEGIES}
    return report


def _weights(runs: Sequence[Outcome], budget_s: float, strategy: str) -> list[float]:
    if strategy != SKIP_NEXT:
        return [1.0] * len(runs)
    return share_begun([run.total_s for run in runs], budget_s, SEED)


def aims(budgets: Mapping[str, Any]) -> dict[str, Any]:
    """Return which of the aims closed_loop meets under one strategy."""
    rivals = {
        budget: {name: arms[name]['less_closed_loop']['interval'] for name in FIXED}
        for budget, arms in budgets.items()
    }
    above = [
        budget
        for budget, intervals in rivals.items()
        if all(high < 0.0 for _, high in intervals.values())
    ]
    return {
        'no_fixed_arm_above': all(
            low <= 0.0 for intervals in rivals.values() for low, _ in intervals.values()
        ),
        'above_every_fixed_arm_at': above,
        'completes_as_alpha_95': all(
            arms[CLOSED]['completion'] >= arms['alpha_95']['completion'] - TOLERANCE
            for arms in budgets.values()
        ),
    }


def table(report: Mapping[str, Any]) -> str:
    """Return score and completion of each arm at each budget."""
    parts = []
    for regime in REGIMES:
        for strategy in STRATEGIES:
            budgets = report['regimes'][regime][strategy]
            rows = [('', *(f'{budget} s' for budget in budgets))]
            for name in NAMES:
                cells = (arms[name] for arms in budgets.values())
                rows.append(
                    (name, *(f'{c["score"]:.3f} {100 * c["completion"]:3.0f}' for c in cells))
                )
            parts.append(f'\n{regime}, {strategy}: score, completion [%]\n{screen_table(rows)}')
            parts.append(str(report['regimes'][regime]['aims'][strategy]))
    return f'{report["n"]} items' + '\n'.join(parts)
