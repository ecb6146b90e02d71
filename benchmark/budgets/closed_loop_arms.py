"""The arms of `make bench-closed_loop`: behind how many tokens each evicts, and how much."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from benchmark.budgets.alpha_grid import kept_tokens
from benchmark.budgets.simulated_clock import LOOK_S, SimulatedClock
from benchmark.budgets.tasks.task import Item
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.closed_loop import ClosedLoop
from timebill_ros.core.length_distribution import LengthDistribution
from timebill_ros.core.planner_settings import EvictionPolicy, PlannerSettings
from timebill_ros.core.remaining_lengths import RemainingLengths

FIXED = {'vanilla': 0.0, 'alpha_25': 0.25, 'alpha_50': 0.5, 'alpha_75': 0.75, 'alpha_95': 0.95}
CLOSED, ONCE = 'closed_loop', 'decided_once'
Way = tuple[int, int]
"""Behind how many tokens the prompt is evicted, and what is kept then; all: nothing is."""


@dataclass
class Answers:
    """The model's answers to one item, by the way in which it is evicted.

    Arguments:
        clock: of all of them.
        length: predicted.
        decode: generates one: the text that each token completes.
    """

    item: Item
    prompt_tokens: int
    clock: SimulatedClock
    length: LengthDistribution | None
    longest: int
    decode: Callable[[Way], list[str]]
    _known: dict[Way, list[str]] = field(default_factory=dict)
    _scores: dict[tuple[Way, int], float] = field(default_factory=dict)

    def pieces(self, way: Way) -> list[str]:
        """Return an answer's text, token by token."""
        if way not in self._known:
            self._known[way] = self.decode(way)
        return self._known[way]

    def score(self, way: Way, tokens: int) -> float:
        """Return the score of an answer's first tokens."""
        if (way, tokens) not in self._scores:
            self._scores[way, tokens] = self.item.score(''.join(self.pieces(way)[:tokens]))
        return self._scores[way, tokens]


@dataclass(frozen=True)
class Arm:
    """How one arm decides.

    Arguments:
        policy: of the planner; None: a fixed ratio.
        is_once: the closed loop's first decision is its only one, as if no other could follow.
    """

    policy: EvictionPolicy | None
    ratio: float = 0.0
    is_once: bool = False

    def way(self, answers: Answers, left_s: float, settings: PlannerSettings) -> tuple[Way, int]:
        """Return how an answer is evicted, and how often it was looked at.

        Arguments:
            left_s: time after the prefill [s].
            settings: of the planner, but for the policy.
        """
        prompt, model = answers.prompt_tokens, answers.clock.model
        if self.policy is None:
            return (0, kept_tokens(prompt, self.ratio, settings.min_kept_tokens)), 0
        planner = BudgetPlanner(replace(settings, eviction_policy=self.policy), model)
        lengths = RemainingLengths.of(answers.length, answers.longest)
        loop = planner.closed_loop(prompt, lengths)
        if loop is not None:
            return _looped(loop, answers, left_s, self.is_once)
        if settings.is_partial and self.policy == 'expected':
            return (0, prompt), 0
        predicted = answers.length.predicted_tokens(answers.longest) if answers.length else None
        plan = planner.plan_after_prefill(
            prompt,
            answers.longest,
            prefill_time_s=0.0,
            predicted_response_tokens=predicted,
            remaining_s=left_s,
        )
        return (0, plan.kept_tokens), 0


ARMS: Mapping[str, Arm] = {
    **{name: Arm(None, ratio) for name, ratio in FIXED.items()},
    'timebill': Arm('timebill'),
    'expected': Arm('expected'),
    ONCE: Arm('closed_loop', is_once=True),
    CLOSED: Arm('closed_loop'),
}


def _looped(loop: ClosedLoop, answers: Answers, left_s: float, is_once: bool) -> tuple[Way, int]:
    prompt, clock = answers.prompt_tokens, answers.clock
    if is_once:
        return (0, replace(loop, later=(0.0,)).kept_tokens(0, 0.0, left_s)), 1
    spent_s = decode_s = 0.0
    look = looks = 0
    for written in range(len(answers.pieces((0, prompt)))):
        if written >= look:
            look, looks = loop.next_look(written), looks + 1
            spent_s += LOOK_S
            kept = loop.kept_tokens(written, decode_s, left_s - spent_s)
            if kept < prompt:
                return (written, kept), looks
        step_s = clock.step_s(written, prompt)
        spent_s, decode_s = spent_s + step_s, decode_s + step_s
    return (0, prompt), looks


@dataclass(frozen=True)
class Outcome:
    """What one item gave: its score, whether it was completed, and how long it took [s]."""

    score: float
    completion: float
    total_s: float


def outcome(
    arm: Arm, answers: Answers, budget_s: float, cached: int, settings: PlannerSettings
) -> Outcome:
    """Return what an arm makes of an item; under KILL, a late answer scores 0."""
    prefill_s = answers.clock.prefill_s(cached)
    way, looks = arm.way(answers, budget_s - prefill_s, settings)
    pieces = answers.pieces(way)
    times_s = prefill_s + looks * LOOK_S + answers.clock.times_s(len(pieces), *way)
    total_s = float(times_s[-1])
    tokens = int(np.searchsorted(times_s, budget_s, side='right'))
    if total_s <= budget_s:
        return Outcome(answers.score(way, len(pieces)), 1.0, total_s)
    return Outcome(answers.score(way, tokens) if settings.is_partial else 0.0, 0.0, total_s)
