"""What an answer is worth that was written after an eviction, and how much longer it becomes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class AnswerWorth:
    """Worth and length under eviction, by the eviction ratio; straight lines between the ratios.

    The worth is a share of the unevicted answer's. What was written before the eviction has seen
    the whole prompt, so only the rest of the answer loses, and only the rest becomes longer.

    Arguments:
        ratios: of which the others are known, rising from 0.
        worths: of an answer that is evicted before its first token, in [0, 1].
        stretches: its length over the unevicted answer's.
    """

    ratios: tuple[float, ...]
    worths: tuple[float, ...]
    stretches: tuple[float, ...]

    def worth(self, ratio: Array, share_left: Array) -> Array:
        """Return the worth of an answer in time.

        Arguments:
            ratio: the eviction ratio.
            share_left: share of the answer that was not written yet at the eviction.
        """
        lost = 1.0 - np.interp(ratio, self.ratios, self.worths)
        return np.asarray(1.0 - lost * share_left, dtype=np.float64)

    def stretch(self, ratio: Array) -> Array:
        """Return how many times longer what is left to be written becomes."""
        return np.asarray(np.interp(ratio, self.ratios, self.stretches), dtype=np.float64)


PRIOR = AnswerWorth(
    ratios=(0.0, 0.25, 0.5, 0.75, 0.95, 1.0),
    worths=(1.0, 0.88, 0.77, 0.54, 0.14, 0.0),
    stretches=(1.0, 1.0, 1.0, 1.0, 1.32, 1.4),
)
"""Of the built-in model, on 336 items of five tasks that it can do; see docs/measured.md."""
