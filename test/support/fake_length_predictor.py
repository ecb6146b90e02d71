"""Predicts without reading."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np

from timebill_ros.core.length_distribution import LengthDistribution
from timebill_ros.inference.prefix.state_sums import StateSums


class FakeLengthPredictor:
    """Says always the same bucket, once the prefill is over."""

    name = 'fake'
    needs_sums = False

    def __init__(self, bucket: int) -> None:
        self._bucket = bucket
        self.expected_s: list[float] = []

    @contextmanager
    def beside_prefill(
        self,
        prompt: str,
        token_ids: list[int],
        prefill_s: float,
        sums: StateSums | None = None,
    ) -> Iterator['FakeLengthPredictor']:
        self.expected_s.append(prefill_s)
        yield self

    def beside_preparation(
        self, token_ids: list[int], sums: StateSums
    ) -> AbstractContextManager[None]:
        return nullcontext()

    def distribution(self) -> LengthDistribution:
        time.sleep(0.02)
        probabilities = np.zeros(512)
        probabilities[self._bucket] = 1.0
        return LengthDistribution(probabilities)
