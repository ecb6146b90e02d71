"""Corrects what is told of lengths, by where earlier lengths lay in what had been told of them.

Lengths that are told rightly lie in each tenth of what was told as often as in any other tenth.
Where they do not, the distribution is moved so that they would have.
"""

import numpy as np

from timebill_ros.core.length_cells import Array, LengthCounts

PARTS = 16
"""What was told is counted in so many parts of the same probability."""
PRIOR: Array = np.array([1.0 / PARTS] * PARTS + [0.0])
STRENGTH = 8.0
"""In each part, that there is nothing to correct counts as so many answers that came there."""
_BOUNDS: Array = np.linspace(0.0, 1.0, PARTS + 1, dtype=np.float64)


def no_counts() -> LengthCounts:
    """Return the counts before the first answer."""
    return LengthCounts(np.zeros(PARTS), np.zeros(PARTS))


def count(counts: LengthCounts, first: float, last: float, is_whole: bool, memory: float) -> None:
    """Count an answer.

    Arguments:
        first, last: probabilities that were told of shorter answers, and of those not longer.
        is_whole: it ended by itself; else it is longer.
        memory: about so many of the last answers count.
    """
    counts.fade(memory)
    if not is_whole:
        counts.begun += np.clip((last - _BOUNDS[:-1]) * PARTS, 0.0, 1.0)
        return
    inside = np.minimum(last, _BOUNDS[1:]) - np.maximum(first, _BOUNDS[:-1])
    ends = np.maximum(inside, 0.0)
    counts.add_ends(ends / ends.sum() if ends.sum() > 0.0 else _only_part_of(last))


def curve(counts: LengthCounts) -> Array:
    """Return the corrected probabilities, (PARTS + 1,), of what was told to be 0 ... 1."""
    probabilities = counts.probabilities(PRIOR, STRENGTH)
    return np.append(np.append(0.0, np.cumsum(probabilities[: PARTS - 1])), 1.0)


def corrected(probabilities: Array, by: Array) -> Array:
    """Return a distribution of cells, (CELLS + 1,), corrected by a curve."""
    below = np.append(0.0, np.cumsum(probabilities[:-1]))
    moved = np.interp(below, _BOUNDS, by)
    return np.append(np.diff(moved), 1.0 - moved[-1])


def _only_part_of(probability: float) -> Array:
    part = min(max(int(np.ceil(probability * PARTS)) - 1, 0), PARTS - 1)
    return np.asarray(np.arange(PARTS) == part, dtype=np.float64)
