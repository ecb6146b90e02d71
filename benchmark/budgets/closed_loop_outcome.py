"""What an arm of `make bench-closed_loop` makes of an item."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmark.budgets.alpha_grid import kept_tokens
from benchmark.budgets.closed_loop_arms import (
    ARMS,
    FIXED,
    HINDSIGHT,
    PLANNED_BY_WORTH,
    Answers,
    Choose,
    fixed,
)
from benchmark.budgets.simulated_clock import LOOK_S
from timebill_ros.core.planner_settings import PlannerSettings


@dataclass(frozen=True)
class Outcome:
    """What one item gave.

    Arguments:
        score: in [0, 1].
        completion: 1 if the answer ended in time.
        total_s: how long it took [s].
        alpha: the share that was evicted.
        evict_at: behind so many tokens.
        tokens: that were there in time.
    """

    score: float
    completion: float
    total_s: float
    alpha: float = 0.0
    evict_at: int = 0
    tokens: int = 0


def outcomes(
    answers: Answers,
    budget_s: float,
    cached: int,
    settings: PlannerSettings,
    is_partial: bool = False,
) -> Mapping[str, Outcome]:
    """Return what each arm makes of an item.

    Arguments:
        cached: tokens of the prompt that need not be read.
        settings: of the planner, but for the policy.
        is_partial: the text so far counts when time is up. As in the node, those that plan by
            worth evict nothing then.
    """
    found = {}
    for name, choose in ARMS.items():
        chosen = fixed(0.0) if is_partial and name in PLANNED_BY_WORTH else choose
        found[name] = outcome(chosen, answers, budget_s, cached, settings, is_partial)
    best = max((found[name] for name in FIXED), key=lambda one: (one.score, one.completion))
    return {**found, HINDSIGHT: best}


def outcome(
    choose: Choose,
    answers: Answers,
    budget_s: float,
    cached: int,
    settings: PlannerSettings,
    is_partial: bool = False,
) -> Outcome:
    """Return what one arm makes of an item; a late answer scores 0, unless it is partial."""
    prefill_s = answers.clock.prefill_s(cached)
    way, looks = choose(answers, budget_s - prefill_s, settings)
    evict_at, alpha = way
    kept = kept_tokens(answers.prompt_tokens, alpha, settings.min_kept_tokens)
    pieces = answers.pieces(way)
    times_s = answers.clock.times_s(len(pieces), evict_at, kept, answers.steps.get(way))
    times_s = prefill_s + looks * LOOK_S + times_s
    total_s = float(times_s[-1])
    in_time = int(np.searchsorted(times_s, budget_s, side='right'))
    if total_s <= budget_s:
        return Outcome(answers.score(way, len(pieces)), 1.0, total_s, alpha, evict_at, in_time)
    score = answers.score(way, in_time) if is_partial else 0.0
    return Outcome(score, 0.0, total_s, alpha, evict_at, in_time)
