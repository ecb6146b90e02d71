"""How long an answer becomes, given that it has not ended yet."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from timebill_ros.core.length_distribution import LengthDistribution

CELLS = 24
UNIFORM_SHARE = 0.1
"""Weight of a distribution in which every length up to max_new_tokens is as likely: a predictor
that was sure, and is seen to be wrong, has nothing else to say."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RemainingLengths:
    """The distribution of an answer's length, as probabilities of cells of lengths.

    Within a cell, every length is as likely. max_new_tokens ends an answer: what would become
    longer has that length (a censored observation), and is in the last cell, which has no width.

    Arguments:
        edges: (cells,), rising from 0 to max_new_tokens; a cell ends where the next one begins.
        probabilities: (cells,), of a length in (edges[i], edges[i + 1]]; the last one is of
            max_new_tokens, for all answers that do not end before.
    """

    edges: Array
    probabilities: Array

    @classmethod
    def of(cls, predicted: LengthDistribution | None, max_new_tokens: int) -> 'RemainingLengths':
        """Return the distribution of an answer that has not begun.

        Arguments:
            predicted: None: nothing is known, and every length is as likely.
            max_new_tokens: N_max, upper bound of the answer's length.
        """
        cells = min(CELLS, max_new_tokens)
        edges = np.linspace(0.0, max_new_tokens, cells + 1, dtype=np.float64)
        below = edges / max_new_tokens
        if predicted is not None:
            known = np.concatenate([[0.0], np.cumsum(predicted.probabilities)])
            lengths = predicted.bucket_tokens * np.arange(len(known))
            # Answers of exactly max_new_tokens are those that were cut off there.
            reached = np.interp(edges, lengths, known / known[-1])
            below = UNIFORM_SHARE * below + (1.0 - UNIFORM_SHARE) * reached
        return cls(edges, np.append(np.diff(below), 1.0 - below[-1]))

    @classmethod
    def exactly(cls, response_tokens: int) -> 'RemainingLengths':
        """Return the distribution of an answer whose length is known."""
        return cls(np.array([0.0, float(response_tokens)]), np.array([0.0, 1.0]))

    def after(self, written: int) -> tuple[Array, Array]:
        """Return lengths and their probabilities, given that the answer is longer than that.

        Arguments:
            written: tokens, fewer than max_new_tokens.

        Returns:
            The middle of what is left of each cell [tokens], and probabilities of sum 1.
        """
        first, last = self.edges[:-1], self.edges[1:]
        begin = np.clip(written, first, last)
        share = (last - begin) / np.maximum(last - first, 1e-9)
        lengths = np.append(np.ceil((begin + last) / 2.0 + 0.5 - 1e-9), self.edges[-1])
        lengths = np.minimum(lengths, self.edges[-1])
        weights = np.append(self.probabilities[:-1] * share, self.probabilities[-1])
        alive = weights > 0.0
        if not alive.any():
            return np.array([self.edges[-1]]), np.array([1.0])
        lengths, weights = lengths[alive], weights[alive]
        return np.maximum(lengths, written + 1.0), weights / weights.sum()

    @property
    def max_new_tokens(self) -> int:
        """The longest answer."""
        return math.ceil(float(self.edges[-1]))
