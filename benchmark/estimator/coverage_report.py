"""Reports how exact predicted times are, and whether worst cases hold: static and followed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest

from benchmark.estimator.following import (
    Array,
    Followed,
    Follower,
    NotFollowed,
    follow,
    slower_in_the_middle,
)
from benchmark.estimator.one_factor import OneFactor, with_delta
from timebill_ros.core.drift import Drift
from timebill_ros.core.time_model import TimeModel
from timebill_ros.core.worst_case_margin import MeasuredGeneration


def coverage_report(
    model: TimeModel,
    profile: Sequence[MeasuredGeneration],
    generations: Sequence[MeasuredGeneration],
) -> dict[str, Any]:
    """Return the errors and coverages of whole generations of known length.

    All rules see the same generations: static and followed ('with_drift'), as recorded and
    'slower' in the middle; and the same with one factor and one margin, as before ('one_factor').

    Arguments:
        model: as profiled.
        profile: the generations that the margins were fitted to.
        generations: measured afterwards, in their order.
    """
    before = with_delta(model, profile)
    return {
        **_both(NotFollowed(model), Drift.of(model), generations),
        'one_factor': _both(NotFollowed(before), OneFactor.of(before), generations),
    }


def _both(
    static: Follower, follower: Follower, generations: Sequence[MeasuredGeneration]
) -> dict[str, Any]:
    slower = slower_in_the_middle(generations)
    return {
        **_summary(follow(static, generations)),
        'with_drift': _summary(follow(follower, generations)),
        'slower': _summary(follow(follower, slower)),
    }


def _summary(found: Followed) -> dict[str, Any]:
    interval = _interval(found.bounded <= 1.0)
    return {
        'e2e_mape': _mape(found.whole),
        'e2e_bias': 100 * float(np.mean(1 / found.whole - 1)),
        'read_mape': _mape(found.prefill),
        'write_mape': _mape(found.decode),
        'wcet_coverage': float(np.mean(found.bounded <= 1.0)),
        'wcet_coverage_interval': interval,
        'wcet_tightness': found.tightness,
        'wcet_tightness_at_99': found.tightness_at_bound_share,
        'after_prefill_coverage': float(np.mean(found.bounded_after_prefill <= 1.0)),
        'n': len(found.whole),
        'n_after_prefill': len(found.decode),
        'last_delta': found.last.delta,
        'last_step_delta': found.last.step_delta,
    }


def _mape(ratios: Array) -> float:
    """Return the mean error of the predictions [%]."""
    return 100 * float(np.mean(np.abs(1 / ratios - 1)))


def _interval(is_covered: Any) -> list[float]:
    """Return the 95 % interval of a share (Wilson)."""
    found = binomtest(int(np.sum(is_covered)), len(is_covered))
    interval = found.proportion_ci(method='wilson')
    return [float(interval.low), float(interval.high)]
