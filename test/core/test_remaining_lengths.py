"""The length of an answer that has not ended yet."""

import numpy as np
import pytest

from timebill_ros.core.asker_lengths import AskerLengths
from timebill_ros.core.length_cells import CELLS, EDGES, UNIFORM
from timebill_ros.core.length_correction import PARTS, corrected
from timebill_ros.core.length_distribution import BUCKET_TOKENS, BUCKETS, LengthDistribution
from timebill_ros.core.remaining_lengths import UNIFORM_SHARE, RemainingLengths, in_cells


def peaked(bucket: int) -> LengthDistribution:
    probabilities = np.zeros(BUCKETS)
    probabilities[bucket] = 1.0
    return LengthDistribution(probabilities)


def test_without_a_prediction_every_length_is_as_likely() -> None:
    lengths, probabilities = RemainingLengths.of(None, 128).after(0)
    assert probabilities.sum() == pytest.approx(1.0)
    assert lengths @ probabilities == pytest.approx(64.5, abs=1.0)
    lengths, probabilities = RemainingLengths.of(None, 128).after(64)
    assert lengths.min() > 64
    assert lengths @ probabilities == pytest.approx(96.5, abs=1.0)


def test_what_is_predicted_longer_than_allowed_ends_there() -> None:
    lengths, probabilities = RemainingLengths.of(peaked(20), 100).after(0)
    assert lengths[-1] == 100
    assert probabilities[-1] == pytest.approx(1.0 - UNIFORM_SHARE)


def test_lengths_that_were_passed_are_out_and_the_others_keep_their_proportions() -> None:
    known = RemainingLengths.of(peaked(2), 128)  # 33 to 48
    before, weights = known.after(0)
    inside = (before > 32) & (before <= 50)
    assert weights[inside].sum() > 1.0 - UNIFORM_SHARE
    after, conditional = known.after(40)
    assert after.min() > 40
    assert 44 <= after[conditional.argmax()] <= 48
    # Beyond everything predicted, every length is as likely again.
    lengths, probabilities = known.after(100)
    assert lengths @ probabilities == pytest.approx(114.5, abs=1.5)


@pytest.mark.parametrize('written', [0, 1, 7, 62, 63])
def test_every_length_is_longer_than_what_is_written(written: int) -> None:
    for known in (
        RemainingLengths.of(None, 64),
        RemainingLengths.of(peaked(1), 64),
        RemainingLengths.exactly(64),
    ):
        lengths, probabilities = known.after(written)
        assert lengths.min() > written
        assert lengths.max() <= 64
        assert probabilities.sum() == pytest.approx(1.0)


def test_a_length_that_is_known_is_certain() -> None:
    lengths, probabilities = RemainingLengths.exactly(9).after(3)
    assert (lengths.tolist(), probabilities.tolist()) == ([9.0], [1.0])


def test_buckets_are_those_of_the_predictor() -> None:
    uniform = LengthDistribution(np.full(BUCKETS, 1.0 / BUCKETS))
    lengths, probabilities = RemainingLengths.of(uniform, BUCKETS * BUCKET_TOKENS).after(0)
    plain = RemainingLengths.of(None, BUCKETS * BUCKET_TOKENS).after(0)
    np.testing.assert_allclose(lengths, plain[0])
    np.testing.assert_allclose(probabilities, plain[1])


def learned(weight: float, **cells: float) -> AskerLengths:
    """Return a distribution, by the numbers of its cells."""
    probabilities = np.zeros(CELLS + 1)
    for cell, probability in cells.items():
        probabilities[int(cell.removeprefix('cell'))] = probability
    return AskerLengths(tuple(probabilities.tolist()), weight)


def test_what_was_learned_is_told_in_tokens_of_this_answer() -> None:
    known = RemainingLengths.of(None, 64, learned(0.9, cell16=0.25, cell32=0.75))
    lengths, probabilities = known.after(0)
    assert lengths.tolist() == [18.0, 64.0]  # (16, 18.1] of 64
    assert probabilities.tolist() == [0.25, 0.75]
    lengths, probabilities = known.after(40)
    assert (lengths.tolist(), probabilities.tolist()) == ([64.0], [1.0])


def test_a_prediction_is_mixed_in_by_its_weight() -> None:
    predicted, alone = peaked(20), learned(0.0, cell4=1.0)
    mixed = RemainingLengths.of(predicted, 512, learned(0.25, cell4=1.0))
    expected = 0.25 * in_cells(predicted, 512) + 0.75 * np.array(alone.probabilities)
    np.testing.assert_allclose(mixed.probabilities, expected)
    unmixed = RemainingLengths.of(predicted, 512, alone).probabilities
    np.testing.assert_allclose(unmixed, alone.probabilities)


def test_an_answer_that_outlives_what_was_learned_is_judged_by_the_prediction() -> None:
    predicted = peaked(20)  # 321 to 336
    mixed = RemainingLengths.of(predicted, 512, learned(0.25, cell4=1.0))
    lengths, probabilities = mixed.after(100)
    assert probabilities.sum() == pytest.approx(1.0)
    assert lengths @ probabilities == pytest.approx(328, abs=16)


def test_the_hazard_is_that_of_the_lengths_that_are_left() -> None:
    """By hand: each length's probability, over the sum of those that are longer than n."""
    known = RemainingLengths.of(None, 1024, AskerLengths(tuple(UNIFORM.tolist()), 0.0))
    single = np.full(1024, 0.5 / 1024)  # of each length that ends by itself
    for written in (0, 16, 64, 256, 1000):
        lengths, probabilities = known.after(written)
        left = single[written:].sum() + 0.5
        assert probabilities[-1] == pytest.approx(0.5 / left)
        mean = (single[written:] @ np.arange(written + 1, 1025) + 0.5 * 1024) / left
        assert lengths @ probabilities == pytest.approx(mean, abs=1.0)


@pytest.mark.parametrize('limit', [1, 2, 16, 100, 4096, 20000])
def test_what_is_predicted_of_cells_is_a_distribution(limit: int) -> None:
    cells = in_cells(peaked(3), limit)  # 49 to 64
    assert cells.sum() == pytest.approx(1.0)
    assert cells.min() >= 0.0
    assert cells[-1] == pytest.approx(1.0 if limit <= 48 else 0.0)
    inside = (EDGES[1:] * limit > 48) & (EDGES[:-1] * limit < 64)
    assert cells[:-1][inside].sum() == pytest.approx(0.0 if limit <= 48 else 1.0)


def test_the_median_is_a_length_that_half_of_the_answers_do_not_pass() -> None:
    assert RemainingLengths.exactly(9).median == 9
    assert RemainingLengths.of(None, 128).median == 64
    assert RemainingLengths.of(None, 64, learned(0.0, cell16=0.49, cell32=0.51)).median == 64
    assert RemainingLengths.of(None, 64, learned(0.0, cell16=0.6, cell32=0.4)).median == 18
    assert RemainingLengths.of(None, 64, learned(0.0, cell0=1.0)).median == 1
    assert RemainingLengths.of(None, 1024, learned(0.0, cell4=0.5, cell9=0.5)).median == 25


def test_the_mixture_is_corrected() -> None:
    by = np.linspace(0.0, 1.0, PARTS + 1) ** 2
    known = AskerLengths(learned(0.25, cell4=1.0).probabilities, 0.25, tuple(by.tolist()))
    mixed = RemainingLengths.of(peaked(20), 512, learned(0.25, cell4=1.0)).probabilities
    found = RemainingLengths.of(peaked(20), 512, known).probabilities
    np.testing.assert_allclose(found, corrected(mixed, by))
    assert abs(found - mixed).max() > 0.1
