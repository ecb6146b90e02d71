"""The expected worth of every switch and ratio, against sums step by step and length by length."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timebill_ros.core.answer_pace import INNER_SPREAD, AnswerPace
from timebill_ros.core.answer_worth import PRIOR, REFERENCE_TOKENS, AnswerWorth
from timebill_ros.core.expected_worth import (
    AnswerState,
    expected_worth,
    normal_cdf,
    worth_of_none,
)
from timebill_ros.core.time_model import TimeModel

MODEL = TimeModel(a=0.0, b=0.0, c=0.0, p=3e-6, q=0.003, e1=1e-5, e0=0.005, delta=0.3)
models = st.builds(
    TimeModel,
    a=st.just(0.0),
    b=st.just(0.0),
    c=st.just(0.0),
    p=st.floats(1e-9, 1e-4),
    q=st.floats(1e-4, 0.05),
    e1=st.floats(0, 1e-4),
    e0=st.floats(0, 0.1),
)
PLAIN = AnswerWorth(
    ratios=(0.0, 0.5, 1.0),
    worths=(1.0, 0.8, 0.0),
    stretches=(1.0, 1.5, 2.0),
    spreads=(0.0, 0.2, 0.6),
    few_tokens=0.3,
    left_power=1.5,
)


def by_brute_force(
    state: AnswerState, model: TimeModel, worth: AnswerWorth, switch: int, kept: int
) -> float:
    """Return what to expect of one switch, at kept == prompt_tokens: of none."""
    ratio = 1.0 - kept / state.prompt_tokens
    few = (REFERENCE_TOKENS / kept) ** worth.few_tokens
    loss = 1.0 - np.interp(ratio, worth.ratios, worth.worths) ** few
    stretch = np.interp(ratio, worth.ratios, worth.stretches)
    spread = np.interp(ratio, worth.ratios, worth.spreads)
    expected = 0.0
    for length, probability in zip(state.lengths, state.probabilities, strict=True):
        is_evicted = length > switch and kept < state.prompt_tokens
        end = switch + (length - switch) * stretch if is_evicted else length
        end = min(end, state.longest)
        seconds, behind_s = seconds_until(end, state, model, switch, kept, is_evicted)
        credit = in_time(state, seconds, end, spread * behind_s / max(seconds, 1e-12))
        if is_evicted and math.isfinite(state.longest):
            most_s, _ = seconds_until(state.longest, state, model, switch, kept, is_evicted)
            credit = max(credit, in_time(state, most_s, state.longest, 0.0))
        share_left = max(0.0, length - switch) / length if is_evicted else 0.0
        expected += probability * credit * (1.0 - loss * share_left**worth.left_power)
    return expected


def seconds_until(
    end: float, state: AnswerState, model: TimeModel, switch: int, kept: int, is_evicted: bool
) -> tuple[float, float]:
    """Return the time until an answer has so many tokens, and the part behind the eviction."""
    before_s, behind_s = model.t_eviction(state.prompt_tokens) if is_evicted else 0.0, 0.0
    # Step i finds the prompt and i - 1 tokens in the cache; a part of a step costs its part.
    step = float(max(state.written, 1))
    while step < end - 1e-9:
        is_behind = is_evicted and step >= max(switch, 1) - 1e-9
        in_cache = kept if is_behind else state.prompt_tokens
        part = min(1.0, end - step)
        step_s = part * (model.p * (in_cache + step - 1 + (part - 1) / 2) + model.q)
        before_s, behind_s = before_s + step_s * (not is_behind), behind_s + step_s * is_behind
        step += 1.0
    return before_s + behind_s, behind_s


def in_time(state: AnswerState, seconds: float, end: float, length_spread: float) -> float:
    """Return P(in time)."""
    mean_s = seconds * state.pace.factor
    if state.remaining_s > 0.0:
        step_spread = state.step_spread / math.sqrt(max(1.0, end - state.written))
        spread = math.hypot(state.pace.spread, length_spread, step_spread)
        deviations = math.log(state.remaining_s / max(mean_s, 1e-12)) / spread
        return 0.5 * math.erfc(-deviations / math.sqrt(2.0))
    return float(mean_s <= state.remaining_s)


@settings(max_examples=150, deadline=None)
@given(
    model=models,
    prompt=st.integers(100, 1500),
    written=st.integers(0, 60),
    more=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    share=st.floats(-0.1, 2.0),
    factor=st.floats(0.5, 2.0),
    longest=st.sampled_from([0, 30, math.inf]),
    step_spread=st.sampled_from([0.0, 0.5]),
)
def test_every_switch_and_ratio_is_worth_what_a_sum_over_steps_and_lengths_says(
    model: TimeModel,
    prompt: int,
    written: int,
    more: Sequence[int],
    share: float,
    factor: float,
    longest: float,
    step_spread: float,
) -> None:
    lengths = written + np.cumsum(more).astype(float)
    probabilities = np.arange(1.0, len(lengths) + 1.0)
    whole_s = model.t_decode(prompt, int(lengths[-1])) - model.t_decode(prompt, written)
    state = AnswerState(
        prompt,
        written,
        share * whole_s,
        AnswerPace(factor, 0.1),
        lengths,
        probabilities / probabilities.sum(),
        lengths[-1] + longest,
        step_spread,
    )
    switches, kept = np.array([0.0, 3.0, 17.0]) + written, np.array([80.0, 20.0])
    worths = expected_worth(state, model, PLAIN, switches, kept)
    assert worth_of_none(state, model) == pytest.approx(
        by_brute_force(state, model, PLAIN, written, prompt), abs=1e-3
    )
    for row, switch in zip(worths, switches, strict=True):
        for found, stays in zip(row, kept, strict=True):
            known = by_brute_force(state, model, PLAIN, int(switch), int(stays))
            assert found == pytest.approx(known, abs=1e-3)


def test_an_eviction_behind_the_end_is_none() -> None:
    state = AnswerState(
        1000, 10, 0.2, AnswerPace(1.0, 0.1), np.array([40.0, 60.0]), np.array([0.5, 0.5])
    )
    worths = expected_worth(state, MODEL, PRIOR, np.array([60.0]), np.array([500.0]))
    assert worths[0, 0] == worth_of_none(state, MODEL)


def test_an_answer_that_is_sure_to_be_cut_in_time_is_in_time() -> None:
    """Evicted answers may become much longer, but none longer than the longest."""
    pace = AnswerPace(1.0, 0.03)
    unsure = AnswerWorth((0.0, 1.0), (1.0, 1.0), (1.0, 3.0), (2.0, 2.0))
    longest_s = MODEL.t_after_prefill(1000, 500, 100)
    lengths, sure = np.array([90.0]), np.array([1.0])
    bounded, open_end = (
        AnswerState(1000, 0, 1.2 * longest_s, pace, lengths, sure, longest=longest)
        for longest in (100.0, math.inf)
    )
    switches, kept = np.array([0.0]), np.array([500.0])
    assert expected_worth(bounded, MODEL, unsure, switches, kept)[0, 0] > 0.99
    assert expected_worth(open_end, MODEL, unsure, switches, kept)[0, 0] < 0.5


def test_the_normal_distribution_is_close() -> None:
    exact = [0.5 * math.erfc(-x / math.sqrt(2.0)) for x in np.linspace(-12, 12, 481)]
    assert np.abs(normal_cdf(np.linspace(-12, 12, 481)) - exact).max() < 2e-4


def test_a_pace_is_known_better_with_every_step() -> None:
    paces = [AnswerPace.after(0.14, steps, 2.0 * steps, 1.0 * steps) for steps in (0, 4, 16, 400)]
    factors, spreads = [pace.factor for pace in paces], [pace.spread for pace in paces]
    assert factors[0] == 1.0
    assert factors == sorted(factors)
    assert factors[-1] == pytest.approx(2.0, rel=0.02)
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[0] == pytest.approx(0.14, rel=1e-3)
    assert INNER_SPREAD <= spreads[-1] < 1.4 * INNER_SPREAD


@pytest.mark.parametrize('steps', [0, 3, 40])
@pytest.mark.parametrize('more', [1.0, 8.0, 1e9])
def test_what_a_pace_may_turn_out_to_be_is_as_sure_as_it_is_now(steps: int, more: float) -> None:
    pace = AnswerPace.after(0.14, steps, 1.1 * steps, 1.0 * steps)
    foreseen = pace.foreseen(steps, more)
    assert sum(weight for weight, _ in foreseen) == pytest.approx(1.0)
    deviations = [(weight, math.log(one.factor / pace.factor)) for weight, one in foreseen]
    assert sum(weight * by for weight, by in deviations) == pytest.approx(0.0, abs=1e-12)
    learned = sum(weight * by**2 for weight, by in deviations)
    left = foreseen[0][1].spread
    assert math.sqrt(learned + left**2) == pytest.approx(pace.spread)
    then = AnswerPace.after(0.14, steps + int(more), 9.0, 9.0)
    assert left == pytest.approx(then.spread, rel=0.03)
