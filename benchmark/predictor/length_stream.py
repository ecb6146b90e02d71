"""Plays questions one after the other: each length is told before its answer is learned from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from timebill_ros.core.length_distribution import LengthDistribution
from timebill_ros.core.remaining_lengths import RemainingLengths, in_cells
from timebill_ros.dispatch.answer_length import AnswerLength
from timebill_ros.dispatch.habit import Habit
from timebill_ros.dispatch.learned_lengths import LearnedLengths

WRITTEN = (0, 16, 64, 256)
"""Lengths are told before the answer, and when so many tokens of it are there."""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class AskedQuestion:
    """A question, and what became of it.

    Arguments:
        asker: who asks.
        tokens: length of the answer.
        max_new_tokens: where it was cut off at the latest.
        is_whole: it ended by itself.
        predicted: by a length predictor; None: by none.
    """

    asker: str
    tokens: int
    max_new_tokens: int
    is_whole: bool
    predicted: LengthDistribution | None = None

    def shortened(self, max_new_tokens: int) -> 'AskedQuestion':
        """Return the same with fewer tokens at most: greedy answers begin alike."""
        is_cut = self.tokens > max_new_tokens
        return AskedQuestion(
            self.asker,
            min(self.tokens, max_new_tokens),
            max_new_tokens,
            self.is_whole and not is_cut,
            self.predicted,
        )


@dataclass(frozen=True)
class Told:
    """What was told of one length.

    Arguments:
        places: by tokens that were written, where the length lies in the distribution that was
            told: the shares of shorter lengths, and of those that are not longer.
        nats: logarithm of the probability of what became of it.
    """

    places: dict[int, tuple[float, float]]
    nats: float


class LengthStream:
    """An asker's way through the node, without a model.

    Arguments:
        learns: from answers; else only what is predicted is told.
    """

    def __init__(self, learns: bool) -> None:
        self._lengths = LearnedLengths() if learns else None

    def ask(self, question: AskedQuestion) -> Told:
        """Tell a length, then learn from it."""
        habit = Habit(question.asker)
        learned = self._lengths.of(habit) if self._lengths is not None else None
        told = RemainingLengths.of(question.predicted, question.max_new_tokens, learned)
        if self._lengths is not None:
            cells: Sequence[float] = ()
            if question.predicted is not None:
                cells = tuple(in_cells(question.predicted, question.max_new_tokens).tolist())
            answer = AnswerLength(question.tokens, question.is_whole)
            self._lengths.observe(habit, answer, question.max_new_tokens, cells)
        return _judged(told, question)


def coverage(places: Sequence[tuple[float, float]], share: float) -> Array:
    """Return, for each length, how much of it lies below a quantile of what was told.

    A length is a part of the distribution, and may lie on both sides of a quantile: then it
    counts by parts (the non-randomized form of Czado et al. 2009).

    Arguments:
        share: of the quantile, in (0, 1).
    """
    first, last = np.array(places).reshape(-1, 2).T
    return np.asarray(np.clip((share - first) / np.maximum(last - first, 1e-12), 0.0, 1.0))


def _judged(told: RemainingLengths, question: AskedQuestion) -> Told:
    below = np.append(0.0, np.cumsum(told.probabilities[:-1]))

    def reached(tokens: int) -> float:
        return float(np.interp(tokens, told.edges, below))

    first, last = reached(question.tokens - 1), reached(question.tokens)
    if not question.is_whole:
        first, last = last, 1.0
    places: dict[int, tuple[float, float]] = {}
    for written in WRITTEN:
        if written < question.tokens:
            left = max(1.0 - reached(written), 1e-12)
            places[written] = (first - 1.0 + left) / left, (last - 1.0 + left) / left
    return Told(places, float(np.log(max(last - first, 1e-12))))
