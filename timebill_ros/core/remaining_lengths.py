"""How long an answer becomes, given that it has not ended yet."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from timebill_ros.core.asker_lengths import AskerLengths
from timebill_ros.core.length_cells import EDGES
from timebill_ros.core.length_correction import corrected
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
    def of(
        cls,
        predicted: LengthDistribution | None,
        max_new_tokens: int,
        learned: AskerLengths | None = None,
    ) -> 'RemainingLengths':
        """Return the distribution of an answer that has not begun.

        Arguments:
            predicted: None: nothing predicts it.
            max_new_tokens: N_max, upper bound of the answer's length.
            learned: from earlier answers; None: nothing is. If nothing is predicted either, every
                length is as likely.
        """
        if learned is not None:
            known = np.array(learned.probabilities)
            if predicted is not None:
                weight = learned.predictor_weight
                known = weight * in_cells(predicted, max_new_tokens) + (1.0 - weight) * known
            if learned.correction:
                known = corrected(known, np.array(learned.correction))
            return cls(EDGES * max_new_tokens, known)
        cells = min(CELLS, max_new_tokens)
        edges = np.linspace(0.0, max_new_tokens, cells + 1, dtype=np.float64)
        below = edges / max_new_tokens
        if predicted is not None:
            reached = _reached(predicted, edges)
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
    def median(self) -> int:
        """The median length of an answer that has not begun [tokens]."""
        below = np.append(0.0, np.cumsum(self.probabilities[:-1]))
        if below[-1] < 0.5:
            return self.max_new_tokens
        end = int(np.searchsorted(below, 0.5 - 1e-12))
        around = slice(end - 1, end + 1)
        return max(1, math.ceil(np.interp(0.5, below[around], self.edges[around]) - 1e-9))

    def equally_likely(self, number: int) -> tuple[float, ...]:
        """Return equally likely lengths, in rising order: middles of equal parts [tokens]."""
        shares = (np.arange(number) + 0.5) / number
        below = np.append(0.0, np.cumsum(self.probabilities[:-1]))
        lengths = np.interp(shares, below, self.edges)
        lengths[shares > below[-1]] = self.edges[-1]
        return tuple(lengths.tolist())

    @property
    def max_new_tokens(self) -> int:
        """The longest answer."""
        return math.ceil(float(self.edges[-1]))


def in_cells(predicted: LengthDistribution, max_new_tokens: int) -> Array:
    """Return what is predicted of the cells of length_cells, and, last, of max_new_tokens."""
    below = _reached(predicted, EDGES * max_new_tokens)
    return np.append(np.diff(below), 1.0 - below[-1])


def _reached(predicted: LengthDistribution, lengths: Array) -> Array:
    """Return how likely an answer is no longer than some lengths.

    Answers of exactly max_new_tokens are those that were cut off there.
    """
    below = np.append(0.0, np.cumsum(predicted.probabilities))
    edges = predicted.bucket_tokens * np.arange(len(below))
    return np.asarray(np.interp(lengths, edges, below / below[-1]))
