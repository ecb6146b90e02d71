"""When policy closed_loop evicts."""

from dataclasses import replace

import numpy as np
import pytest

from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.closed_loop import ClosedLoop
from timebill_ros.core.planner_settings import EvictionPolicy, PlannerSettings
from timebill_ros.core.remaining_lengths import RemainingLengths
from timebill_ros.core.time_model import TimeModel

MODEL = TimeModel(a=0.0, b=0.0, c=0.0, p=2e-6, q=0.002, e1=2e-6, e0=0.002, delta=0.2)
PROMPT, LONGEST = 2000, 128
LOOP = ClosedLoop(MODEL, PROMPT, 100, RemainingLengths.exactly(LONGEST))
WHOLE_S = MODEL.t_decode(PROMPT, LONGEST)
QUICKEST_S = MODEL.t_after_prefill(PROMPT, 100, LONGEST)


def test_time_to_spare_evicts_nothing_and_too_little_is_hopeless() -> None:
    for remaining_s in (2.0 * WHOLE_S, np.inf, 0.3 * QUICKEST_S, 0.0, -1.0):
        assert LOOP.kept_tokens(0, 0.0, remaining_s) == PROMPT


def written_by(loop: ClosedLoop, budget_s: float, pace: float = 1.0) -> tuple[int, int, float]:
    """Write LONGEST tokens on a machine that takes `pace` times what the model says.

    Returns:
        At how many tokens the prompt was evicted (LONGEST: never), what was kept, and the time.
    """
    kept, at, spent_s, decode_s, look = PROMPT, LONGEST, 0.0, 0.0, 0
    for written in range(LONGEST):
        if kept == PROMPT and written >= look:
            look = loop.next_look(written)
            kept = loop.kept_tokens(written, decode_s, budget_s - spent_s)
            if kept < PROMPT:
                at, spent_s = written, spent_s + pace * MODEL.t_eviction(PROMPT)
        step_s = 0.0 if written == 0 else pace * MODEL.t_step(kept + written - 1)
        spent_s, decode_s = spent_s + step_s, decode_s + step_s
    return at, kept, spent_s


@pytest.mark.parametrize('pace', [0.8, 1.0, 1.2, 1.3])
def test_an_answer_of_known_length_is_in_time_wherever_an_eviction_makes_it_so(
    pace: float,
) -> None:
    for share in (1.2, 1.02, 0.95, 0.9, 0.8, 0.7):
        budget_s = pace * share * WHOLE_S
        at, kept, spent_s = written_by(LOOP, budget_s, pace)
        assert spent_s <= budget_s
        assert (kept < PROMPT) == (at < LONGEST)
        assert kept < PROMPT or share > 1.0


def test_an_answer_in_fewer_passes_tells_of_no_faster_machine() -> None:
    written, left = 24, 0.6 * (WHOLE_S - MODEL.t_decode(PROMPT, 24))
    quick_s = MODEL.t_decode(PROMPT, 13)
    now = replace(LOOP, later=(0.0,))
    kept = now.kept_tokens(written, quick_s, left, passes=12.0)
    assert kept < PROMPT
    assert now.kept_tokens(written, quick_s, left) > kept


def test_what_is_left_is_expected_to_take_as_few_passes_as_what_is_there() -> None:
    written, left = 24, 0.85 * (WHOLE_S - MODEL.t_decode(PROMPT, 24))
    now = replace(LOOP, later=(0.0,))
    assert now.kept_tokens(written, MODEL.t_decode(PROMPT, 13), left, passes=12.0) == PROMPT
    assert now.kept_tokens(written, MODEL.t_decode(PROMPT, 24), left) < PROMPT


def test_what_is_evicted_late_is_evicted_no_more_than_needed() -> None:
    at, kept, _ = written_by(LOOP, 0.9 * WHOLE_S)
    assert at > LONGEST // 3
    assert kept >= 0.3 * PROMPT


def test_what_may_end_soon_is_given_the_time_to() -> None:
    """The same time is left, and the same longest answer: what differs is how likely it is."""
    sure, open_end = (
        written_by(ClosedLoop(MODEL, PROMPT, 100, lengths), 0.8 * WHOLE_S)[0]
        for lengths in (RemainingLengths.exactly(LONGEST), RemainingLengths.of(None, LONGEST))
    )
    assert sure < open_end


def test_an_eviction_that_the_pace_decides_waits_for_it() -> None:
    """25 % would do at the expected pace, and be too little at a slow one."""
    budget_s = 0.96 * WHOLE_S
    sure = replace(LOOP, time_model=replace(MODEL, delta=0.0))
    assert sure.kept_tokens(0, 0.0, budget_s) in (PROMPT, 1500)
    assert LOOP.kept_tokens(0, 0.0, budget_s) == PROMPT
    assert replace(LOOP, later=(0.0,)).kept_tokens(0, 0.0, budget_s) == 1500  # it cannot wait


def test_noise_of_single_steps_needs_more_time_to_spare() -> None:
    now = replace(LOOP, later=(0.0,))
    noisy = replace(now, time_model=replace(MODEL, step_delta=3.0))
    assert now.kept_tokens(0, 0.0, 1.1 * WHOLE_S) == PROMPT
    assert noisy.kept_tokens(0, 0.0, 1.1 * WHOLE_S) < PROMPT


def test_an_answer_at_its_longest_and_a_short_prompt_are_left_alone() -> None:
    assert LOOP.kept_tokens(LONGEST, 1.0, 0.1) == PROMPT
    short = ClosedLoop(MODEL, 90, 90, RemainingLengths.exactly(LONGEST))
    assert short.kept_tokens(0, 0.0, 0.9 * MODEL.t_decode(90, LONGEST)) == 90


def test_answers_are_looked_at_every_few_tokens_and_long_ones_less_often() -> None:
    looks = [0]
    while looks[-1] < 1000:
        looks.append(ClosedLoop.next_look(looks[-1]))
    assert looks[1] == 4
    assert len(looks) < 75
    assert np.diff(looks).max() <= 64


@pytest.mark.parametrize('policy', ['timebill', 'expected', 'fixed', 'off'])
def test_other_policies_decide_once(policy: EvictionPolicy) -> None:
    settings = PlannerSettings(eviction_policy=policy)
    assert BudgetPlanner(settings, MODEL).closed_loop(PROMPT, LOOP.lengths) is None
    closed = BudgetPlanner(PlannerSettings(eviction_policy='closed_loop'))
    assert closed.closed_loop(PROMPT, LOOP.lengths) is None  # there is no time model


def test_a_plan_is_the_loops_and_its_worst_case_has_the_eviction_that_may_come() -> None:
    planner = BudgetPlanner(PlannerSettings(eviction_policy='closed_loop'), MODEL)
    loop = planner.closed_loop(PROMPT, LOOP.lengths)
    assert loop is not None
    for share in (0.42, 1.5):
        plan = planner.plan_after_prefill(
            PROMPT, LONGEST, prefill_time_s=0.5, remaining_s=share * WHOLE_S, loop=loop
        )
        assert plan.kept_tokens == loop.kept_tokens(0, 0.0, share * WHOLE_S)
        assert plan.worst_case_time_s == pytest.approx(
            0.5 + 1.2 * (MODEL.t_decode(plan.kept_tokens, LONGEST) + MODEL.t_eviction(PROMPT))
        )
        assert (plan.kept_tokens < PROMPT) == (share < 1.0)
    assert plan.kept_tokens == PROMPT
