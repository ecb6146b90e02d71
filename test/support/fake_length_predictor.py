"""Predicts without reading."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from timebill_ros.core.length_distribution import LengthDistribution


class FakeLengthPredictor:
    """Says always the same bucket, once the prefill is over."""

    name = 'fake'

    def __init__(self, bucket: int) -> None:
        self._bucket = bucket
        self.expected_s: list[float] = []

    @contextmanager
    def beside_prefill(
        self, prompt: str, token_ids: list[int], prefill_s: float
    ) -> Iterator['FakeLengthPredictor']:
        self.expected_s.append(prefill_s)
        yield self

    def distribution(self) -> LengthDistribution:
        time.sleep(0.02)
        probabilities = np.zeros(512)
        probabilities[self._bucket] = 1.0
        return LengthDistribution(probabilities)
