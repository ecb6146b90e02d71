from dataclasses import replace

import numpy as np
import pytest

from timebill_ros.core.execution_time_estimator import CachedSample, Sample, fit
from timebill_ros.core.time_model import TimeModel

TRUTH = TimeModel(a=2.5e-7, b=8e-4, c=0.02, p=5e-6, q=0.017, e1=4e-5, e0=0.01)
LENGTHS = (67, 130, 251, 509, 1021, 2039, 4093)


def samples(rng, curve, lengths, repeats=5, noise=0.01, outliers=0):
    """Return noisy measurements of a curve, the first few of them far too slow."""
    found = [
        Sample(n, curve(n) * float(np.exp(noise * rng.standard_normal())))
        for _ in range(repeats)
        for n in lengths
    ]
    return [Sample(s.tokens, 4 * s.seconds) if i < outliers else s for i, s in enumerate(found)]


def all_samples(rng, **kwargs):
    return [
        samples(rng, curve, LENGTHS, **kwargs)
        for curve in (TRUTH.t_prefill, TRUTH.t_step, TRUTH.t_eviction)
    ]


def worst_error(model, low=67, high=4093):
    """Return the largest relative error of the three curves."""
    return max(
        abs(getattr(model, curve)(n) / getattr(TRUTH, curve)(n) - 1)
        for curve in ('t_prefill', 't_step', 't_eviction')
        for n in range(low, high, 37)
    )


def test_exact_times_give_back_the_coefficients():
    found = fit(*all_samples(np.random.default_rng(0), noise=0.0)).model
    for name in ('a', 'b', 'c', 'p', 'q', 'e1', 'e0'):
        assert getattr(found, name) == pytest.approx(getattr(TRUTH, name), rel=1e-6)


@pytest.mark.parametrize('seed', range(5))
def test_noise_and_outliers_leave_the_curves_within_two_percent(seed):
    found = fit(*all_samples(np.random.default_rng(seed), outliers=6))
    assert worst_error(found.model) < 0.02
    for curve in (found.prefill, found.step, found.eviction):
        assert curve.samples == 35
        assert 6 <= curve.left_out <= 10
        assert 0.3 < curve.mape < 2.0


@pytest.mark.parametrize('seed', range(5))
def test_outliers_among_lengths_measured_once_are_left_out(seed):
    rng = np.random.default_rng(seed)
    lengths = [int(n) for n in np.geomspace(60, 4100, 30)]
    rng.shuffle(lengths)
    found = fit(
        *(
            samples(rng, curve, lengths, repeats=1, outliers=5)
            for curve in (TRUTH.t_prefill, TRUTH.t_step, TRUTH.t_eviction)
        )
    )
    assert [c.left_out for c in (found.prefill, found.step, found.eviction)] == [5, 5, 5]
    assert worst_error(found.model) < 0.03


def test_a_length_that_is_off_the_curve_but_agrees_with_itself_is_kept():
    rng = np.random.default_rng(1)
    steps = samples(rng, TRUTH.t_step, LENGTHS) + [Sample(3000, 0.06)] * 5
    assert fit(all_samples(rng)[0], steps).step.left_out == 0


def test_the_error_is_relative():
    # Times within 10 % everywhere: least squares on seconds would leave the shortest far off.
    prefills = [
        Sample(n, TRUTH.t_prefill(n) * f)
        for n, f in zip(LENGTHS, (1.0, 0.95, 1.05, 0.95, 1.05, 0.9, 1.1), strict=True)
    ]
    found = fit(prefills, samples(np.random.default_rng(0), TRUTH.t_step, LENGTHS)).model
    assert found.t_prefill(67) == pytest.approx(TRUTH.t_prefill(67), rel=0.06)


def test_coefficients_are_never_negative():
    rng = np.random.default_rng(2)
    falling = samples(rng, lambda n: 0.02 - 1e-6 * n, LENGTHS)
    superlinear = samples(rng, lambda n: 1e-6 * n**1.7, LENGTHS)
    found = fit(superlinear, falling, falling).model
    assert (found.p, found.e1) == (0.0, 0.0)
    times = [found.t_prefill(n) for n in range(1, 5000)]
    assert times[0] > 0.0 and times == sorted(times)


def test_without_evictions_and_generations():
    prefills, steps, _ = all_samples(np.random.default_rng(3))
    found = fit(prefills, steps)
    assert (found.model.e1, found.model.e0, found.eviction.samples) == (0.0, 0.0, 0)
    assert (found.model.delta, found.generations) == (pytest.approx(0.25), 0)


def cached_samples(rng, noise=0.0, outliers=0):
    """Return prefills behind cached tokens, noisy, the first few of them far too slow."""
    truth = replace(TRUTH, d=9e-6)
    found = []
    for index in range(30):
        cached = int(rng.integers(24, 4000))
        tokens = cached + int(rng.integers(16, 100))
        seconds = truth.t_prefill(tokens, cached) * float(np.exp(noise * rng.standard_normal()))
        found.append(CachedSample(tokens, cached, seconds * (4 if index < outliers else 1)))
    return found


def test_exact_times_behind_cached_tokens_give_back_their_coefficient():
    rng = np.random.default_rng(0)
    exact = all_samples(rng, noise=0.0)
    found = fit(*exact, cached=cached_samples(rng))
    assert found.model.d == pytest.approx(9e-6, rel=1e-6)
    assert (found.cached.samples, found.cached.mape) == (30, pytest.approx(0.0, abs=1e-6))
    for name in ('a', 'b', 'c', 'p', 'q', 'e1', 'e0'):
        assert getattr(found.model, name) == pytest.approx(getattr(TRUTH, name), rel=1e-6)
    assert fit(*exact).model.d == 0.0


@pytest.mark.parametrize('seed', range(5))
def test_noise_and_outliers_leave_the_time_behind_cached_tokens_within_three_percent(seed):
    rng = np.random.default_rng(seed)
    cached = cached_samples(rng, noise=0.01, outliers=4)
    found = fit(*all_samples(rng, outliers=6), cached=cached).model
    truth = replace(TRUTH, d=9e-6)
    for tokens, behind in ((572, 544), (1100, 1056), (2104, 2080), (4152, 4128)):
        assert found.t_prefill(tokens, behind) == pytest.approx(
            truth.t_prefill(tokens, behind), rel=0.03
        )


def test_cached_tokens_that_cost_less_than_nothing_cost_nothing():
    rng = np.random.default_rng(1)
    quick = [replace(sample, seconds=sample.seconds / 3) for sample in cached_samples(rng)]
    assert fit(*all_samples(rng), cached=quick).model.d == 0.0


@pytest.mark.parametrize(
    ('prefills', 'steps', 'evictions', 'sentence'),
    [
        ((5, 5, 6), (5, 6), (), 'prefills must hold at least 3 different lengths, got 2'),
        ((5, 6, 7), (5, 5), (), 'steps must hold at least 2 different lengths, got 1'),
        ((), (5, 6), (), 'prefills must hold at least 3 different lengths, got 0'),
        ((5, 6, 7), (5, 6), (9,), 'evictions must hold at least 2 different lengths, got 1'),
    ],
)
def test_too_few_lengths_are_refused(prefills, steps, evictions, sentence):
    with pytest.raises(ValueError, match=sentence):
        fit(*([Sample(n, 0.1 * n) for n in lengths] for lengths in (prefills, steps, evictions)))


def test_the_fewest_lengths_are_met_exactly():
    found = fit(
        [Sample(n, TRUTH.t_prefill(n)) for n in (100, 1000, 3000)],
        [Sample(n, TRUTH.t_step(n)) for n in (100, 3000)],
    ).model
    assert found.t_prefill(2000) == pytest.approx(TRUTH.t_prefill(2000), rel=1e-6)
    assert found.t_step(2000) == pytest.approx(TRUTH.t_step(2000), rel=1e-6)


def test_of_three_lengths_none_is_left_out_because_two_make_a_line():
    prefills = [Sample(n, TRUTH.t_prefill(n)) for n in (100, 1000, 3000)]
    found = fit(prefills, [Sample(128, 0.0175), Sample(1024, 0.024), Sample(4096, 0.037)])
    assert found.step.left_out == 0


@pytest.mark.parametrize(
    ('tokens', 'seconds', 'sentence'),
    [
        (0, 1.0, 'tokens must be >= 1, got 0'),
        (1, 0.0, 'seconds must be finite and > 0, got 0'),
        (1, float('nan'), 'seconds must be finite and > 0, got nan'),
    ],
)
def test_a_sample_that_is_no_measurement_is_refused(tokens, seconds, sentence):
    with pytest.raises(ValueError, match=sentence):
        Sample(tokens, seconds)
