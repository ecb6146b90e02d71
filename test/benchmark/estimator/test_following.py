"""Replayed generations: what is predicted before each, and what is learned after it."""

from dataclasses import replace

import numpy as np
import pytest

from benchmark.budgets.simulated_clock import FITTED
from benchmark.estimator.coverage_report import coverage_report
from benchmark.estimator.following import NotFollowed, follow, slower_in_the_middle
from benchmark.estimator.one_factor import OneFactor
from support.simulated_generations import simulated_generations
from timebill_ros.core.drift import Drift
from timebill_ros.core.worst_case_margin import MeasuredGeneration, with_margins

PROFILE, MEASURED = simulated_generations(80, 1), simulated_generations(300, 2)


def exact(slowness: float = 1.0, response: int = 40) -> MeasuredGeneration:
    """Return a generation that took so many times what the model says."""
    return MeasuredGeneration(
        1000,
        500,
        response,
        slowness * FITTED.t_prefill(1000),
        slowness * FITTED.t_eviction(1000),
        slowness * FITTED.t_decode(500, response),
    )


def test_static_predictions_are_compared_with_their_own_bound() -> None:
    found = follow(NotFollowed(replace(FITTED, delta=0.25)), [exact(), exact(1.5), exact(1, 4)])
    assert found.whole == pytest.approx([1.0, 1.5, 1.0])
    assert found.prefill == pytest.approx([1.0, 1.5, 1.0])
    assert found.decode == pytest.approx([1.0, 1.5])  # the short one does not count
    assert found.bounded == pytest.approx([0.8, 1.2, 0.8])
    assert found.bounded_after_prefill == pytest.approx([0.8, 1.2])
    assert found.tightness == pytest.approx(1.25)
    assert found.tightness_at_bound_share == pytest.approx(1.5)


def test_each_is_predicted_before_it_is_learned_from() -> None:
    found = follow(Drift.of(replace(FITTED, delta=0.25)), [exact(2.0)] * 9)
    assert found.whole == pytest.approx([2.0] * 8 + [1.0])
    assert found.last.t_prefill(100) == pytest.approx(2.0 * FITTED.t_prefill(100))


def test_the_second_half_is_slower() -> None:
    slow = slower_in_the_middle([exact()] * 5)
    assert slow[:2] == [exact()] * 2
    assert [g.prefill_s / exact().prefill_s for g in slow[2:]] == [1.5] * 3
    assert [g.decode_s / exact().decode_s for g in slow[2:]] == [1.5] * 3
    assert [g.eviction_s / exact().eviction_s for g in slow[2:]] == [1.5] * 3


def test_two_factors_miss_less_than_one_when_the_machine_slows_down() -> None:
    slow = slower_in_the_middle([exact()] * 120)
    fitted = replace(FITTED, delta=0.25)
    two, one = follow(Drift.of(fitted), slow), follow(OneFactor.of(fitted), slow)
    assert np.sum(two.bounded > 1.0) == 1
    assert np.sum(one.bounded > 1.0) > 3


def test_the_report_compares_both_rules_on_the_same_generations() -> None:
    report = coverage_report(with_margins(FITTED, PROFILE), PROFILE, MEASURED)
    assert report['n'] == report['slower']['n'] == report['one_factor']['n'] == 300
    # What is not followed is equally exact with any margin.
    assert report['e2e_mape'] == report['one_factor']['e2e_mape']
    for both in (report, report['one_factor']):
        assert both['slower']['write_mape'] > both['with_drift']['write_mape']
        assert 0.9 < both['with_drift']['wcet_coverage'] <= 1.0
        assert both['with_drift']['wcet_tightness'] > 1.0
    assert report['one_factor']['with_drift']['last_step_delta'] == 0.0
    assert report['with_drift']['last_step_delta'] > 0.0
