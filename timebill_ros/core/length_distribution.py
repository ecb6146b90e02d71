"""The predicted length of an answer: a probability for each bucket of lengths."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BUCKETS = 512
BUCKET_TOKENS = 16
"""The paper's: bucket i, counted from 1, holds the lengths 16*(i-1) + 1 .. 16*i."""


@dataclass(frozen=True)
class LengthDistribution:
    """A distribution of the answer's length (arXiv 2512.21859, response length predictor).

    Arguments:
        probabilities: (buckets,), non-negative, of sum 1.
        bucket_tokens: B, the width of each bucket [tokens].
    """

    probabilities: NDArray[np.float64]
    bucket_tokens: int = BUCKET_TOKENS

    def quantile(self, share: float) -> int:
        """Return the upper edge of the bucket in which the cumulative share is reached [tokens].

        Arguments:
            share: in (0, 1]; 0.5 is the median.
        """
        reached = np.cumsum(self.probabilities) >= share - 1e-9
        bucket = int(reached.argmax()) if reached.any() else len(reached) - 1
        return (bucket + 1) * self.bucket_tokens

    def predicted_tokens(self, max_new_tokens: int) -> int:
        """Return N_hat, in 1..max_new_tokens: the median, which has the least absolute error.

        Arguments:
            max_new_tokens: N_max, upper bound of the answer's length.
        """
        return min(self.quantile(0.5), max_new_tokens)


def bucket_of(response_tokens: int, buckets: int = BUCKETS, width: int = BUCKET_TOKENS) -> int:
    """Return the bucket of a length, from 0; the last bucket has all longer lengths too."""
    return min(max(0, (response_tokens - 1) // width), buckets - 1)
