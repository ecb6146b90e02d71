import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timebill_ros.core.speculation import most_lost_steps
from timebill_ros.core.time_model import TimeModel

SMOLLM = TimeModel(a=2.5e-7, b=8e-4, c=0.02, p=5e-6, q=0.017, e1=4e-5, e0=0.01, delta=0.25, d=1e-5)


@given(kept=st.integers(0, 5000), response=st.integers(-1, 800))
def test_decoding_is_the_sum_over_its_steps(kept, response):
    by_steps = sum(SMOLLM.t_step(kept + i - 1) for i in range(1, response))
    assert SMOLLM.t_decode(kept, response) == pytest.approx(by_steps, rel=1e-9, abs=1e-12)


def test_prefill_is_quadratic_in_the_prompt():
    assert SMOLLM.t_prefill(1000) == pytest.approx(0.25 + 0.8 + 0.02)


@given(prompt=st.integers(1, 5000), share=st.floats(0, 1))
def test_what_is_cached_saves_its_own_prefill_but_for_the_call_and_the_attention(prompt, share):
    cached = int(share * prompt)
    rest = SMOLLM.t_prefill(prompt, cached)
    saved = SMOLLM.t_prefill(cached) - SMOLLM.c - SMOLLM.d * cached
    assert rest == pytest.approx(SMOLLM.t_prefill(prompt) - saved)
    assert SMOLLM.c <= rest <= SMOLLM.t_prefill(prompt)
    assert SMOLLM.t_e2e(prompt, prompt, 1, cached) == rest


def test_what_is_read_behind_cached_tokens_takes_longer_the_more_there_are():
    # 24 tokens: a * (4152 + 4128) * 24 + b * 24 + d * 4128 + c
    assert SMOLLM.t_prefill(4152, 4128) == pytest.approx(0.04968 + 0.0192 + 0.04128 + 0.02)
    assert SMOLLM.t_prefill(568, 544) == pytest.approx(0.006672 + 0.0192 + 0.00544 + 0.02)
    assert SMOLLM.scaled(2.0).t_prefill(568, 544) == pytest.approx(2 * 0.051312)


def test_a_response_of_one_token_costs_the_prefill_only():
    assert SMOLLM.t_e2e(1000, 1000, 1) == SMOLLM.t_prefill(1000)


def test_eviction_is_paid_only_when_something_is_evicted():
    unevicted = SMOLLM.t_e2e(1000, 1000, 1)
    assert SMOLLM.t_e2e(1000, 999, 1) - unevicted == pytest.approx(SMOLLM.t_eviction(1000))
    assert SMOLLM.t_eviction(1000) == pytest.approx(0.05)


def test_worst_case_is_the_mean_with_its_margin():
    assert SMOLLM.t_wcet(900, 300, 64) == pytest.approx(1.25 * SMOLLM.t_e2e(900, 300, 64))


def test_the_noise_of_single_steps_is_a_smaller_part_of_a_longer_answer():
    noisy = dataclasses.replace(SMOLLM, delta=0.3, step_delta=1.2)
    assert noisy.t_wcet(900, 900, 1) == pytest.approx(1.3 * SMOLLM.t_prefill(900))
    for steps, margin in ((1, 1.2369), (9, 0.5), (900, 0.30265)):
        decode_s = SMOLLM.t_decode(900, steps + 1)
        worst_s = noisy.t_wcet(900, 900, steps + 1) - 1.3 * SMOLLM.t_prefill(900)
        assert worst_s == pytest.approx((1.0 + margin) * decode_s, rel=1e-4)
    # It says nothing of an eviction.
    evicted_s = noisy.t_wcet(900, 300, 10) - 1.5 * SMOLLM.t_decode(300, 10)
    assert evicted_s == pytest.approx(1.3 * (SMOLLM.t_prefill(900) + SMOLLM.t_eviction(900)))


def test_the_worst_case_lies_so_many_spreads_above_the_mean():
    noisy = dataclasses.replace(SMOLLM, delta=0.3, step_delta=1.2, bound_spreads=3.0)
    assert math.exp(3.0 * noisy.spread()) == pytest.approx(1.3)
    assert math.exp(3.0 * noisy.spread(9)) == pytest.approx(1.5)
    assert noisy.step_spread == pytest.approx(0.4)
    with pytest.raises(ValueError, match='bound_spreads must be > 0, got 0'):
        dataclasses.replace(SMOLLM, bound_spreads=0.0)


@pytest.mark.parametrize('response', [3, 64, 700])
def test_wrong_guesses_are_in_the_worst_case_and_in_no_mean(response):
    guessing = dataclasses.replace(SMOLLM, speculates=True)
    assert guessing.t_e2e(900, 300, response) == SMOLLM.t_e2e(900, 300, response)
    more_s = guessing.t_wcet(900, 300, response) - SMOLLM.t_wcet(900, 300, response)
    lost = most_lost_steps(response)
    assert more_s >= 1.25 * lost * SMOLLM.t_step(300 + response - 1)
    assert more_s <= 1.25 * (lost + 1) * SMOLLM.t_step(300 + response + lost)


@pytest.mark.parametrize('response', [1, 2])
def test_an_answer_without_a_step_between_others_has_no_guesses(response):
    guessing = dataclasses.replace(SMOLLM, speculates=True)
    assert guessing.t_wcet(900, 300, response) == SMOLLM.t_wcet(900, 300, response)


def test_scaling_multiplies_every_time_and_leaves_the_margin():
    slower = SMOLLM.scaled(1.3)
    assert slower.t_e2e(900, 300, 64) == pytest.approx(1.3 * SMOLLM.t_e2e(900, 300, 64))
    assert slower.delta == SMOLLM.delta


def test_reading_writing_and_evictions_have_factors_of_their_own():
    other = SMOLLM.scaled(2.0, 3.0, 5.0)
    assert other.t_prefill(900, 300) == pytest.approx(2.0 * SMOLLM.t_prefill(900, 300))
    assert other.t_decode(300, 64) == pytest.approx(3.0 * SMOLLM.t_decode(300, 64))
    assert other.t_eviction(900) == pytest.approx(5.0 * SMOLLM.t_eviction(900))
    assert SMOLLM.scaled(2.0, 3.0) == SMOLLM.scaled(2.0, 3.0, 3.0)


def test_leverage_is_the_share_of_a_step_that_eviction_saves():
    step, evicted = SMOLLM.t_step(4000), SMOLLM.t_step(200)
    assert SMOLLM.leverage(4000, 0.95) == pytest.approx((step - evicted) / step)
    assert TimeModel(0, 0, 0, 0, 0).leverage(4000, 0.95) == 0.0


@pytest.mark.parametrize('value', [-1e-9, math.nan, math.inf])
def test_a_coefficient_that_is_no_time_is_refused(value):
    with pytest.raises(ValueError, match='p must be finite and >= 0, got'):
        TimeModel(1, 1, 1, value, 1)
