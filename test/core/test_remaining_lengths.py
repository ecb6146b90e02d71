"""The length of an answer that has not ended yet."""

import numpy as np
import pytest

from timebill_ros.core.length_distribution import BUCKET_TOKENS, BUCKETS, LengthDistribution
from timebill_ros.core.remaining_lengths import UNIFORM_SHARE, RemainingLengths


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
