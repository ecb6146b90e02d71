"""What is told of lengths, corrected by where earlier lengths lay in it."""

import numpy as np
import pytest

from timebill_ros.core.length_cells import CELLS, UNIFORM, LengthCounts
from timebill_ros.core.length_correction import (
    PARTS,
    STRENGTH,
    corrected,
    count,
    curve,
    no_counts,
)

BOUNDS = np.linspace(0.0, 1.0, PARTS + 1)
FOREVER = 1e12


def counted(*places: tuple[float, float, bool]) -> LengthCounts:
    counts = no_counts()
    for first, last, is_whole in places:
        count(counts, first, last, is_whole, FOREVER)
    return counts


def test_before_the_first_answer_nothing_is_corrected() -> None:
    np.testing.assert_allclose(curve(no_counts()), BOUNDS)
    np.testing.assert_allclose(corrected(UNIFORM, curve(no_counts())), UNIFORM)


def test_lengths_that_are_told_rightly_correct_nothing() -> None:
    places = np.random.default_rng(0).random(4000)
    found = curve(counted(*[(place, place + 1e-9, True) for place in places]))
    np.testing.assert_allclose(found, BOUNDS, atol=0.02)


def test_places_below_a_half_are_told_to_be_all() -> None:
    places = np.random.default_rng(0).random(4000) / 2.0
    found = curve(counted(*[(place, place + 1e-9, True) for place in places]))
    np.testing.assert_allclose(found, np.minimum(2.0 * BOUNDS, 1.0), atol=0.03)


def test_an_answer_that_was_cut_off_is_known_to_be_above_that() -> None:
    """By hand: in each part, the ends over those that came to it, with the prior."""
    width = 1.0 / PARTS
    found = curve(counted((2.0 * width, 3.0 * width, True), (0.0, 5.5 * width, False)))
    left, expected = 1.0, [0.0]
    for part in range(PARTS - 1):
        begun = (part <= 2) + (1.0 if part < 5 else 0.5 if part == 5 else 0.0)
        hazard = ((part == 2) + STRENGTH / (PARTS - part)) / (begun + STRENGTH)
        left *= 1.0 - hazard
        expected.append(1.0 - left)
    np.testing.assert_allclose(found, [*expected, 1.0])


def test_a_length_over_several_parts_counts_in_all_of_them() -> None:
    counts = counted((0.0, 4.0 / PARTS, True), (0.5, 0.5, True))
    assert counts.ended[:4] == pytest.approx(np.full(4, 0.25))
    assert counts.ended.sum() == pytest.approx(2.0)


def test_older_answers_fade() -> None:
    counts = no_counts()
    for _ in range(100):
        count(counts, 0.0, 0.01, True, 10.0)
    assert counts.ended.sum() == pytest.approx(10.0, rel=1e-3)


def test_a_corrected_distribution_is_one() -> None:
    by = curve(counted(*[(0.1, 0.2, True)] * 50, *[(0.0, 0.7, False)] * 20))
    assert (np.diff(by) > 0).all()
    found = corrected(UNIFORM, by)
    assert len(found) == CELLS + 1
    assert found.sum() == pytest.approx(1.0)
    assert found.min() > 0.0
    # What was told to be reached with a probability of 0.25 is reached with that of the curve.
    below = np.cumsum(UNIFORM)[15]
    assert np.cumsum(found)[15] == pytest.approx(np.interp(below, BOUNDS, by))
