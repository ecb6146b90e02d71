import math

import pytest

from timebill_ros.core.running_factor import NO_CHANGE, Ratio


def after(factors, running=NO_CHANGE, weight=1.0):
    """Return the factor after bills that took so many times what was profiled."""
    for factor in factors:
        running = running.observed(Ratio(math.log(factor / running.value), weight))
    return running


def test_it_follows_within_eight_bills_and_back():
    assert NO_CHANGE.value == 1.0
    assert after([1.3] * 7).value == 1.0
    hot = after([1.3] * 8)
    assert hot.value == pytest.approx(1.3)
    assert after([1.0] * 8, hot).value == pytest.approx(1.0)


def test_seven_outliers_move_nothing():
    assert after([1.1] * 8 + [30.0] * 7).value == pytest.approx(1.1)


def test_short_answers_count_less():
    mixed = after([1.5] * 10, after([1.0] * 5, after([1.0] * 10)), weight=0.4)
    assert mixed.value == pytest.approx(1.0)
    assert after([1.5] * 3, mixed, weight=0.4).value == pytest.approx(1.5)


@pytest.mark.parametrize(('slowness', 'factor'), [(100.0, 4.0), (0.01, 0.25)])
def test_it_is_bounded(slowness, factor):
    assert after([slowness] * 40).value == pytest.approx(factor)
