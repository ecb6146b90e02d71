from dataclasses import replace

import numpy as np
import pytest

from timebill_ros.core.bill import Bill
from timebill_ros.core.drift import Drift
from timebill_ros.core.running_factor import NO_CHANGE, WINDOW
from timebill_ros.core.time_model import TimeModel

FITTED = TimeModel(a=2.5e-7, b=8e-4, c=0.02, p=5e-6, q=0.017, e1=4e-5, e0=0.01, delta=0.25)


def bill(slowness, prompt=1000, kept=600, response=40):
    """Return the bill of a generation that took slowness times what the fitted model says."""
    return Bill(
        prompt_tokens=prompt,
        kept_tokens=kept,
        response_tokens=response,
        # What was predicted before, for another length, must not matter.
        predicted_response_tokens=500,
        predicted_total_time=99.0,
        prefill_time=slowness * FITTED.t_prefill(prompt),
        eviction_time=slowness * FITTED.t_eviction(prompt) if kept < prompt else 0.0,
        decode_time=slowness * FITTED.t_decode(kept, response),
    )


def after(slownesses, drift=None):
    drift = drift or Drift.of(FITTED)
    for slowness in slownesses:
        drift = drift.observed(bill(slowness))
    return drift


def factors(drift):
    return drift.reading.value, drift.writing.value


def test_before_the_first_bill_the_fitted_model_stands():
    drift = Drift.of(FITTED)
    assert (factors(drift), drift.out_of_range, drift.model) == ((1.0, 1.0), False, FITTED)


def test_a_slower_machine_is_followed():
    drift = after([1.4] * WINDOW)
    assert factors(drift) == pytest.approx((1.4, 1.4))
    assert drift.out_of_range
    assert drift.model.t_e2e(900, 300, 50) == pytest.approx(1.4 * FITTED.t_e2e(900, 300, 50))
    assert drift.ratio(bill(1.4)) == pytest.approx(1.0)


def test_reading_and_writing_are_followed_apart():
    one, drift = bill(1.0), Drift.of(FITTED)
    one = replace(one, prefill_time=0.8 * one.prefill_time, decode_time=1.3 * one.decode_time)
    for _ in range(WINDOW):
        drift = drift.observed(one)
    assert factors(drift) == pytest.approx((0.8, 1.3))
    assert drift.model.t_prefill(500) == pytest.approx(0.8 * FITTED.t_prefill(500))
    assert drift.model.t_decode(500, 40) == pytest.approx(1.3 * FITTED.t_decode(500, 40))
    assert drift.model.t_eviction(500) == pytest.approx(1.3 * FITTED.t_eviction(500))


def test_prefills_from_the_cache_teach_no_wrong_speed():
    cached = replace(
        bill(1.0, prompt=2000, kept=2000),
        cached_tokens=1960,
        prefill_time=FITTED.t_prefill(2000, 1960),
    )
    for slowness in (1.0, 3.0):
        slow = replace(cached, prefill_time=slowness * cached.prefill_time)
        drift = Drift.of(FITTED)
        for _ in range(WINDOW):
            drift = drift.observed(slow)
        assert factors(drift) == pytest.approx((1.0, 1.0))
    # The worst case holds for them too, and a slower machine shows in the time after it.
    late = replace(cached, prefill_time=9.0, response_tokens=2, decode_time=0.0)
    assert Drift.of(FITTED).observed(late).bound_spreads > FITTED.bound_spreads
    assert Drift.of(FITTED).ratio(late) is None
    drift = Drift.of(FITTED)
    for _ in range(WINDOW):
        drift = drift.observed(replace(cached, decode_time=1.3 * cached.decode_time))
    assert factors(drift) == pytest.approx((1.3, 1.3))


def test_what_a_bill_does_not_tell_is_taken_to_change_as_the_rest():
    one, drift = bill(1.0), Drift.of(FITTED)
    one = replace(one, prefill_time=0.8 * one.prefill_time)
    for _ in range(WINDOW):
        drift = drift.observed(one)
    cached, single = replace(bill(1.5), cached_tokens=900), bill(1.2, response=1)
    then = drift
    for _ in range(8):
        then = then.observed(cached)
    assert factors(then) == pytest.approx((1.2, 1.5))
    for _ in range(8):
        drift = drift.observed(single)
    assert factors(drift) == pytest.approx((1.2, 1.5))


def test_seven_outliers_move_no_factor():
    assert factors(after([30.0] * 7)) == (1.0, 1.0)


@pytest.mark.parametrize(
    ('slowness', 'out'), [(0.79, True), (0.81, False), (1.24, False), (1.26, True)]
)
def test_out_of_range(slowness, out):
    drift = after([slowness] * WINDOW)
    assert drift.out_of_range is out
    assert replace(drift, reading=NO_CHANGE).out_of_range is out
    assert replace(drift, writing=NO_CHANGE).out_of_range is out


def test_one_outlier_moves_the_margins_little_and_the_next_worst_case_much():
    once = after([50.0])
    assert 0.0 < once.bound_spreads - FITTED.bound_spreads <= 0.5
    assert once.model.delta == 1.0
    # How unsure a time is does not follow from one outlier.
    assert once.model.spread() == pytest.approx(FITTED.spread(), rel=0.25)
    then = after([1.0], once)
    assert then.surprise == 1.0
    assert FITTED.delta < then.model.delta < 0.45
    assert after([1.0]).bound_spreads < FITTED.bound_spreads


def test_a_machine_that_becomes_slower_is_missed_once():
    drift, missed = after([1.0] * 60), []
    for number in range(40):
        slow = bill(1.5)
        worst = drift.model.worst_case(slow.response_tokens)
        measured_s = slow.prefill_time + slow.eviction_time + slow.decode_time
        if measured_s > worst.t_e2e(slow.prompt_tokens, slow.kept_tokens, slow.response_tokens):
            missed.append(number)
        drift = drift.observed(slow)
    assert missed == [0]
    assert drift.surprise == 1.0


@pytest.mark.parametrize('spread', [0.03, 0.1, 0.2])
def test_the_worst_case_lets_few_bills_exceed_it(spread):
    rng = np.random.default_rng(5)
    drift, missed = Drift.of(FITTED), 0
    for step in range(1200):
        one = bill(float(1.2 * np.exp(spread * rng.standard_normal())))
        worst = drift.model.worst_case(one.response_tokens)
        measured_s = one.prefill_time + one.eviction_time + one.decode_time
        worst_s = worst.t_e2e(one.prompt_tokens, one.kept_tokens, one.response_tokens)
        missed += step >= 500 and measured_s > worst_s
        drift = drift.observed(one)
    assert 0.004 < missed / 700 < 0.016
    assert factors(drift) == pytest.approx((1.2, 1.2), rel=2 * spread)


def test_noise_of_single_steps_becomes_a_margin_of_its_own():
    rng = np.random.default_rng(3)
    drift = Drift.of(FITTED)
    for number in range(300):
        one = bill(1.0, prompt=200, kept=200, response=(6, 12, 40, 160)[number % 4])
        steps = one.response_tokens - 1
        noise = 1.0 + 0.6 / np.sqrt(steps) * float(np.clip(rng.standard_normal(), -1.5, 3.0))
        drift = drift.observed(replace(one, decode_time=noise * one.decode_time))
    model = drift.model
    assert model.step_delta > 3.0 * model.delta
    assert model.decode_margin(160) < 0.7 * model.decode_margin(12)


def test_the_margin_of_a_noisy_profile_is_left_after_a_hundred_bills():
    rng = np.random.default_rng(7)
    calm = list(np.exp(0.03 * rng.standard_normal(300)))
    drift = Drift.of(replace(FITTED, delta=0.62))
    assert after(calm[:10], drift).model.delta > 0.4
    assert 0.05 < after(calm[:100], drift).model.delta < 0.25
    assert 0.03 < after(calm, drift).model.delta < 0.2
    # With a machine that becomes noisy it rises again.
    assert after([1.3, 1.0, 0.8] * 10, after(calm, drift)).model.delta > 0.25


def test_the_margin_of_a_profile_with_an_outlier_is_left_after_a_hundred_bills():
    calm = list(np.exp(0.1 * np.random.default_rng(7).standard_normal(110)))
    drift = Drift.of(replace(FITTED, delta=0.9, bound_spreads=9.0))
    assert after(calm[:90], drift).bound_spreads > 8.0
    assert after(calm, drift).bound_spreads < 5.0


def test_the_margins_bound_what_comes_after_the_prefill_too():
    rng = np.random.default_rng(11)
    drift, missed = Drift.of(FITTED), 0
    for step in range(1200):
        one = bill(1.0, prompt=8000, kept=8000)
        decode_s = one.decode_time * float(np.exp(0.12 * rng.standard_normal()))
        worst_s = drift.model.worst_case(40).t_after_prefill(8000, 8000, 40)
        missed += step >= 500 and decode_s > worst_s
        drift = drift.observed(replace(one, decode_time=decode_s))
    assert missed / 700 < 0.02


def test_delta_is_bounded():
    assert 0.0 < after([1.0] * 1000).model.delta < 0.03
    rising = after([2.0**i for i in range(40)])
    assert 0.9 < rising.model.delta <= 1.0


@pytest.mark.parametrize(
    'ratios', [[1.0, 4.0, 4.0, 1.0, 4.0, 1.0] * 50, [1.0, 1.0, 1.0, 6.0] * 75]
)
def test_delta_is_bounded_where_nothing_surprises(ratios):
    noisy = after([*ratios, *[1.0] * 20])
    assert noisy.surprise == 1.0
    assert 0.5 < noisy.model.delta <= 1.0
    surprised = after([30.0], noisy)
    assert surprised.surprise > 1.0
    assert noisy.model.delta <= surprised.model.delta <= 1.0


def test_a_surprise_makes_the_worst_case_longer_and_the_noise_stays():
    calm = after([1.0] * 20, Drift.of(replace(FITTED, step_delta=0.6)))
    surprised = after([3.0], calm)
    assert surprised.surprise > 1.0
    assert surprised.model.delta > 2.0 * calm.model.delta
    assert surprised.model.spread() == pytest.approx(calm.model.spread(), rel=0.1)
    assert surprised.model.step_spread == pytest.approx(calm.model.step_spread, rel=0.1)
    assert surprised.model.spread(20) == pytest.approx(calm.model.spread(20), rel=0.2)


@pytest.mark.parametrize(
    'nothing', [Bill(), bill(1.0, kept=0), bill(1.0, response=0), bill(0.0), bill(float('inf'))]
)
def test_a_bill_without_a_generation_tells_nothing(nothing):
    drift = after([1.1] * 9)
    assert drift.observed(nothing) is drift
