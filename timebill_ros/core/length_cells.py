"""Cells of lengths, as shares of max_new_tokens, and how answers are counted in them.

An answer that was cut off counts too, as one that is longer than that: the probability of an end
in a cell, the hazard, is that of the answers which came to the cell (Kaplan and Meier 1958).
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

CELLS = 32
Array = NDArray[np.float64]
EDGES: Array = (np.arange(CELLS + 1) / CELLS) ** 2
"""Where cells begin and end: narrow ones for short answers, and the last one is 6 % wide."""
UNIFORM: Array = np.append(np.diff(EDGES), 1.0) / 2.0
"""What is believed before the first answer: half of all answers end before max_new_tokens, and
every length of theirs is as likely."""
SPREAD: Array = np.array([1.0, 2.0, 3.0, 2.0, 1.0]) / 9.0
"""An end counts by parts in its cell and in those beside it: few answers then tell more. Chosen
on made-up lengths."""


def below(probabilities: Array, share: float) -> float:
    """Return how likely an answer has ended when a share of max_new_tokens is written.

    Arguments:
        probabilities: (CELLS + 1,); within a cell, every length is as likely.
    """
    cell = _cell(share)
    part = (min(share, 1.0) - EDGES[cell]) / (EDGES[cell + 1] - EDGES[cell])
    return float(probabilities[:cell].sum() + part * probabilities[cell])


def likelihood(probabilities: Array, tokens: int, max_new_tokens: int, is_whole: bool) -> float:
    """Return how likely a distribution held what became of an answer.

    Arguments:
        probabilities: (CELLS + 1,).
        tokens: its length, >= 1.
        is_whole: it ended there; else it is longer.
    """
    reached = below(probabilities, tokens / max_new_tokens)
    if not is_whole:
        return 1.0 - reached
    return reached - below(probabilities, (tokens - 1) / max_new_tokens)


@dataclass
class LengthCounts:
    """Answers that are counted in cells; older ones fade.

    Arguments:
        ended: (CELLS,), how many ended in each cell; by SPREAD.
        begun: (CELLS,), how many came to each cell; by SPREAD. One that was cut off in a cell
            counts there by the part of the cell that it passed.
    """

    ended: Array = field(default_factory=lambda: np.zeros(CELLS))
    begun: Array = field(default_factory=lambda: np.zeros(CELLS))

    def add(self, tokens: int, max_new_tokens: int, is_whole: bool, memory: float) -> None:
        """Count an answer.

        Arguments:
            tokens: its length, >= 1.
            is_whole: it ended by itself. Else it was cut off, also by max_new_tokens.
            memory: about so many of the last answers count.
        """
        self.fade(memory)
        if is_whole:
            ends = np.zeros(CELLS)
            cell = _cell((tokens - 0.5) / max_new_tokens)  # a token is as wide as a length
            beside = np.arange(len(SPREAD)) - len(SPREAD) // 2
            np.add.at(ends, np.clip(cell + beside, 0, CELLS - 1), SPREAD)
            self.add_ends(ends)
            return
        share = min(tokens / max_new_tokens, 1.0)
        self.begun += np.clip((share - EDGES[:-1]) / np.diff(EDGES), 0.0, 1.0)

    def copy(self) -> 'LengthCounts':
        """Return counts that stay as they are."""
        return LengthCounts(self.ended.copy(), self.begun.copy())

    def fade(self, memory: float) -> None:
        """Let older answers count less: about so many of the last ones count."""
        self.ended *= 1.0 - 1.0 / memory
        self.begun *= 1.0 - 1.0 / memory

    def add_ends(self, ends: Array) -> None:
        """Count an answer that ended, by parts in cells, (CELLS,)."""
        self.ended += ends
        self.begun += np.cumsum(ends[::-1])[::-1]

    def probabilities(self, prior: Array, strength: float) -> Array:
        """Return the distribution, (CELLS + 1,); the last one is of max_new_tokens.

        Arguments:
            prior: (CELLS + 1,), what is believed without any answer; the last one is positive.
            strength: in each cell, the prior counts as so many answers that came there, > 0.
        """
        coming = np.cumsum(prior[::-1])[::-1]
        hazards = self.ended + strength * prior[:-1] / coming[:-1]
        hazards /= self.begun + strength
        left = np.append(1.0, np.cumprod(1.0 - hazards))
        return np.append(left[:-1] * hazards, left[-1])


def _cell(share: float) -> int:
    """Return the cell that a share in (0, 1] is in; the first one also for 0."""
    return int(np.clip(np.searchsorted(EDGES, share) - 1, 0, CELLS - 1))
