"""The arms of `make bench-closed_loop`: behind how many tokens each evicts, and how much."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from benchmark.budgets.alpha_grid import kept_tokens
from benchmark.budgets.simulated_clock import LOOK_S, SimulatedClock
from benchmark.budgets.tasks.task import Item
from benchmark.budgets.way import WHOLE, Way
from timebill_ros.core.answer_pace import AnswerPace
from timebill_ros.core.answer_worth import AnswerWorth
from timebill_ros.core.asker_lengths import AskerLengths
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.closed_loop import ClosedLoop, steps_per_token
from timebill_ros.core.expected_eviction import in_time_probability
from timebill_ros.core.length_distribution import LengthDistribution
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.core.remaining_lengths import RemainingLengths

FIXED = {'vanilla': 0.0, 'alpha_25': 0.25, 'alpha_50': 0.5, 'alpha_75': 0.75, 'alpha_95': 0.95}
RATIOS = tuple(FIXED.values())
"""What every arm chooses from; the closed loop of the node has the same."""
CLOSED, ONCE, HINDSIGHT = 'closed_loop', 'decided_once', 'best_fixed_in_hindsight'


@dataclass
class Answers:
    """The model's answers to one item, by the way in which it is evicted.

    Arguments:
        clock: of all of them.
        length: predicted.
        worth: what the closed loop expects of an evicted answer.
        decode: generates one: the text that each token completes.
        known: answers that need not be generated.
        learned: from answers to earlier items; None: nothing is.
        steps: that each token of a known answer takes, if it is constrained; else one each.
    """

    item: Item
    prompt_tokens: int
    clock: SimulatedClock
    length: LengthDistribution | None
    longest: int
    worth: AnswerWorth
    decode: Callable[[Way], list[str]]
    known: dict[Way, list[str]] = field(default_factory=dict)
    learned: AskerLengths | None = None
    steps: dict[Way, list[float]] = field(default_factory=dict)
    _scores: dict[tuple[Way, int], float] = field(default_factory=dict)

    def pieces(self, way: Way) -> list[str]:
        """Return an answer's text, token by token."""
        if way not in self.known:
            self.known[way] = self.decode(way)
        return self.known[way]

    def score(self, way: Way, tokens: int) -> float:
        """Return the score of an answer's first tokens."""
        if (way, tokens) not in self._scores:
            self._scores[way, tokens] = self.item.score(''.join(self.pieces(way)[:tokens]))
        return self._scores[way, tokens]

    @property
    def lengths(self) -> RemainingLengths:
        """What the arms that learn know of the length."""
        return RemainingLengths.of(self.length, self.longest, self.learned)


Decide = Callable[[int, float, float, float], int]
"""From the tokens so far, the time that they took, the time left [s], and the steps that they
took, to what is kept."""
Choose = Callable[[Answers, float, PlannerSettings], tuple[Way, int]]
"""From the time after the prefill [s] to how an answer is evicted, and how often it was looked
at."""


def fixed(alpha: float) -> Choose:
    """Return the arm that always evicts the same share, if any."""
    return lambda answers, left_s, settings: ((0, alpha), 0)


def timebill(answers: Answers, left_s: float, settings: PlannerSettings) -> tuple[Way, int]:
    """Choose as the paper does: the smallest ratio whose worst case fits."""
    planner = BudgetPlanner(replace(settings, eviction_policy='timebill'), answers.clock.model)
    plan = planner.plan_after_prefill(
        answers.prompt_tokens,
        answers.longest,
        prefill_time_s=0.0,
        predicted_response_tokens=_predicted(answers),
        remaining_s=left_s,
    )
    return (0, _ratio(answers.prompt_tokens, plan.kept_tokens, settings)), 0


def expected(answers: Answers, left_s: float, settings: PlannerSettings) -> tuple[Way, int]:
    """Choose as policy expected does: the largest (1 - alpha) * P(in time)."""
    model, prompt = answers.clock.model, answers.prompt_tokens
    predicted = _predicted(answers) if answers.learned is None else answers.lengths.median
    tokens = predicted or answers.longest
    spread = model.spread(tokens - 1)

    def worth(alpha: float) -> tuple[float, float]:
        kept = kept_tokens(prompt, alpha, settings.min_kept_tokens)
        mean_s = model.t_after_prefill(prompt, kept, tokens)
        return kept * in_time_probability(mean_s, spread, left_s), -mean_s

    return (0, max(RATIOS, key=worth)), 0


def closed_loop(answers: Answers, left_s: float, settings: PlannerSettings) -> tuple[Way, int]:
    """Decide as policy closed_loop does, again and again."""
    return _looped(
        _loop(answers, answers.lengths, settings).kept_tokens, answers, left_s, settings
    )


def decided_once(answers: Answers, left_s: float, settings: PlannerSettings) -> tuple[Way, int]:
    """Decide by the same worth and lengths behind the prefill, as if no decision followed."""
    once = replace(_loop(answers, answers.lengths, settings), later=(0.0,))
    kept = once.kept_tokens(0, 0.0, left_s)
    return (0, _ratio(answers.prompt_tokens, kept, settings)), 1


def half_on_demand(answers: Answers, left_s: float, settings: PlannerSettings) -> tuple[Way, int]:
    """Evict 50 % as soon as the median of the lengths that are left is not in time without."""
    lengths, model = answers.lengths, answers.clock.model
    prompt = answers.prompt_tokens

    def decide(written: int, decode_s: float, remaining_s: float, passes: float) -> int:
        written_s, steps = model.t_decode(prompt, written), round(passes)
        passes_s = model.t_decode(prompt, steps + 1)
        pace = AnswerPace.after(model.spread(), steps, decode_s, passes_s)
        found, probabilities = lengths.after(written)
        order = found.argsort()
        median = found[order][np.cumsum(probabilities[order]).searchsorted(0.5)]
        rest_s = model.t_decode(prompt, int(median)) - written_s
        if pace.factor * steps_per_token(written, steps) * rest_s <= remaining_s:
            return prompt
        return kept_tokens(prompt, 0.5, settings.min_kept_tokens)

    return _looped(decide, answers, left_s, settings)


def oracle_length(answers: Answers, left_s: float, settings: PlannerSettings) -> tuple[Way, int]:
    """Decide as closed_loop does, with the length of the unevicted answer known."""
    length, longest = float(len(answers.pieces(WHOLE))), float(answers.longest)
    lengths = RemainingLengths(
        np.array([0.0, length - 1.0, length, longest]), np.array([0.0, 1.0, 0.0, 0.0])
    )
    return _looped(_loop(answers, lengths, settings).kept_tokens, answers, left_s, settings)


ARMS: Mapping[str, Choose] = {
    **{name: fixed(alpha) for name, alpha in FIXED.items()},
    'timebill': timebill,
    'expected': expected,
    'half_on_demand': half_on_demand,
    ONCE: decided_once,
    CLOSED: closed_loop,
    'oracle_length': oracle_length,
}

PLANNED_BY_WORTH = ('expected', ONCE, CLOSED, 'oracle_length')


def _predicted(answers: Answers) -> int | None:
    return answers.length.predicted_tokens(answers.longest) if answers.length else None


def _loop(answers: Answers, lengths: RemainingLengths, settings: PlannerSettings) -> ClosedLoop:
    policy = replace(settings, eviction_policy='closed_loop')
    planner = BudgetPlanner(policy, answers.clock.model, answers.worth)
    loop = planner.closed_loop(answers.prompt_tokens, lengths)
    assert loop is not None, 'the policy is closed_loop'
    return loop


def _ratio(prompt_tokens: int, kept: int, settings: PlannerSettings) -> float:
    """Return the smallest of RATIOS that keeps no more; policies round to one token."""
    fewest = settings.min_kept_tokens
    return next(
        (
            alpha
            for alpha in RATIOS
            if kept_tokens(prompt_tokens, alpha, fewest) <= kept + (kept < prompt_tokens)
        ),
        RATIOS[-1],
    )


def _looped(
    decide: Decide, answers: Answers, left_s: float, settings: PlannerSettings
) -> tuple[Way, int]:
    prompt, clock = answers.prompt_tokens, answers.clock
    spent_s = decode_s = passes = 0.0
    look = looks = 0
    tokens = len(answers.pieces(WHOLE))
    steps = answers.steps.get(WHOLE) or [0.0, *[1.0] * (tokens - 1)]
    for written in range(tokens):
        if written >= look:
            look, looks = ClosedLoop.next_look(written), looks + 1
            spent_s += LOOK_S
            kept = decide(written, decode_s, left_s - spent_s, passes)
            if kept < prompt:
                return (written, _ratio(prompt, kept, settings)), looks
            if spent_s > left_s:
                return WHOLE, looks
        step_s = clock.step_s(written, prompt) * steps[written]
        spent_s, decode_s, passes = spent_s + step_s, decode_s + step_s, passes + steps[written]
    return WHOLE, looks
