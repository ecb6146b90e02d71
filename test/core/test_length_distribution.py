"""Quantiles of a bucket distribution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timebill_ros.core.length_distribution import (
    BUCKET_TOKENS,
    BUCKETS,
    LengthDistribution,
    bucket_of,
)


@given(length=st.integers(1, BUCKETS * BUCKET_TOKENS))
def test_a_certain_length_is_predicted_up_to_its_buckets_upper_edge(length: int) -> None:
    probabilities = np.zeros(BUCKETS)
    probabilities[bucket_of(length)] = 1.0
    distribution = LengthDistribution(probabilities)
    assert length <= distribution.quantile(0.5) < length + BUCKET_TOKENS
    assert distribution.quantile(0.01) == distribution.quantile(1.0) == distribution.quantile(0.5)


@given(
    weights=st.lists(st.floats(0, 1), min_size=2, max_size=40).filter(lambda w: sum(w) > 0.1),
    shares=st.tuples(st.floats(0.01, 1.0), st.floats(0.01, 1.0)),
)
def test_quantiles_hold_the_share_that_they_say_and_never_fall(
    weights: list[float], shares: tuple[float, float]
) -> None:
    probabilities = np.array(weights) / sum(weights)
    distribution = LengthDistribution(probabilities, bucket_tokens=4)
    low, high = sorted(shares)
    assert distribution.quantile(low) <= distribution.quantile(high)
    buckets = distribution.quantile(high) // 4
    assert probabilities[:buckets].sum() >= high - 1e-6
    assert probabilities[: buckets - 1].sum() < high


def test_the_median_is_predicted_not_the_likeliest_and_never_more_than_the_longest() -> None:
    distribution = LengthDistribution(np.array([0.4, 0.2, 0.1, 0.3]), bucket_tokens=16)
    assert distribution.predicted_tokens(1000) == 32
    assert distribution.predicted_tokens(20) == 20


def test_what_is_longer_than_all_buckets_is_in_the_last() -> None:
    assert bucket_of(10**6) == BUCKETS - 1
    assert (bucket_of(1), bucket_of(16), bucket_of(17)) == (0, 0, 1)


def test_probabilities_that_sum_to_less_by_rounding_still_have_a_last_quantile() -> None:
    assert LengthDistribution(np.array([0.3, 0.3]), 8).quantile(1.0) == pytest.approx(16)
