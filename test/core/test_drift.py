from dataclasses import replace

import numpy as np
import pytest

from timebill_ros.core.bill import Bill
from timebill_ros.core.drift import WINDOW, Drift
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


def test_before_the_first_bill_the_fitted_model_stands():
    drift = Drift.of(FITTED)
    assert (drift.factor, drift.out_of_range, drift.model) == (1.0, False, FITTED)


def test_a_slower_machine_is_followed():
    drift = after([1.4] * WINDOW)
    assert drift.factor == pytest.approx(1.4)
    assert drift.out_of_range
    assert drift.model.t_e2e(900, 300, 50) == pytest.approx(1.4 * FITTED.t_e2e(900, 300, 50))
    assert drift.ratio(bill(1.4)) == pytest.approx(1.0)


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
        assert drift.factor == pytest.approx(1.0)
    # The worst case holds for them too, and a slower machine shows in the time after it.
    late = replace(cached, prefill_time=9.0, response_tokens=2, decode_time=0.0)
    assert Drift.of(FITTED).observed(late).delta > FITTED.delta
    assert Drift.of(FITTED).ratio(late) is None
    drift = Drift.of(FITTED)
    for _ in range(WINDOW):
        drift = drift.observed(replace(cached, decode_time=1.3 * cached.decode_time))
    assert drift.factor == pytest.approx(1.3)


def test_it_follows_within_eight_bills_and_back():
    hot = after([1.3] * 8)
    assert hot.factor == pytest.approx(1.3)
    assert after([1.0] * 8, hot).factor == pytest.approx(1.0)


def test_seven_outliers_move_nothing():
    assert after([30.0] * 7).factor == 1.0
    assert after([1.1] * 8 + [30.0] * 7).factor == pytest.approx(1.1)


@pytest.mark.parametrize(('slowness', 'factor'), [(100.0, 4.0), (0.01, 0.25)])
def test_the_factor_is_bounded(slowness, factor):
    assert after([slowness] * 40).factor == pytest.approx(factor)


@pytest.mark.parametrize(
    ('slowness', 'out'), [(0.79, True), (0.81, False), (1.24, False), (1.26, True)]
)
def test_out_of_range(slowness, out):
    assert after([slowness] * WINDOW).out_of_range is out


def test_one_outlier_raises_delta_by_one_step_at_most():
    assert 0.0 < after([50.0]).delta - FITTED.delta <= 0.05
    assert after([1.0]).delta < FITTED.delta


@pytest.mark.parametrize('spread', [0.03, 0.1, 0.2])
def test_delta_lets_one_bill_in_a_hundred_exceed_the_worst_case(spread):
    rng = np.random.default_rng(5)
    drift, missed = Drift.of(FITTED), 0
    for step in range(4000):
        one = bill(float(1.2 * np.exp(spread * rng.standard_normal())))
        missed += step >= 1000 and drift.ratio(one) > 1.0 + drift.delta
        drift = drift.observed(one)
    assert 0.004 < missed / 3000 < 0.016
    assert drift.factor == pytest.approx(1.2, rel=2 * spread)


def test_the_margin_of_a_noisy_profile_is_left_after_a_hundred_bills():
    rng = np.random.default_rng(7)
    calm = list(np.exp(0.03 * rng.standard_normal(300)))
    drift = Drift.of(replace(FITTED, delta=0.62))
    assert after(calm[:99], drift).delta > 0.55
    assert 0.05 < after(calm[:100], drift).delta < 0.25
    assert 0.03 < after(calm, drift).delta < 0.2
    # With a machine that becomes noisy it rises again.
    assert after([1.3, 1.0, 0.8] * 10, after(calm, drift)).delta > 0.25


@pytest.mark.parametrize(('response', 'low', 'high'), [(40, 0.2, 0.5), (10, 0.0, 0.1)])
def test_delta_bounds_what_comes_after_the_prefill_too(response, low, high):
    rng = np.random.default_rng(11)
    drift, missed = Drift.of(FITTED), 0
    for step in range(3000):
        one = bill(1.0, prompt=8000, kept=8000, response=response)
        decode_s = one.decode_time * float(np.exp(0.12 * rng.standard_normal()))
        worst_s = (1.0 + drift.delta) * drift.model.t_after_prefill(8000, 8000, response)
        missed += step >= 1000 and decode_s > worst_s
        drift = drift.observed(replace(one, decode_time=decode_s))
    assert low < drift.delta < high
    assert response < 40 or missed / 2000 < 0.02


def test_delta_is_bounded():
    assert after([1.0] * 2000).delta == 0.0
    rising = after([2.0**i for i in range(40)])
    assert 0.9 < rising.delta <= 1.0


@pytest.mark.parametrize(
    'nothing', [Bill(), bill(1.0, kept=0), bill(1.0, response=0), bill(0.0), bill(float('inf'))]
)
def test_a_bill_without_a_generation_tells_nothing(nothing):
    drift = after([1.1] * 9)
    assert drift.observed(nothing) is drift
