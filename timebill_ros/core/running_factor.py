"""A factor on predicted times that follows what was measured."""

import math
from dataclasses import dataclass

WINDOW = 15
"""Recent ratios whose median is the factor: 8 alike move it, 7 outliers do not."""
FACTOR_BOUND = 4.0
"""The factor stays in 1/4..4."""


@dataclass(frozen=True)
class Ratio:
    """log(measured / fitted) of one bill, and how much it counts, in (0, 1]."""

    log: float = 0.0
    weight: float = 1.0


@dataclass(frozen=True)
class RunningFactor:
    """The weighted median of measured / fitted over the last bills.

    Arguments:
        ratios: of the window, newest last.
    """

    ratios: tuple[Ratio, ...]

    @property
    def value(self) -> float:
        """The factor on the fitted times, in 1/4..4."""
        half = sum(ratio.weight for ratio in self.ratios) / 2.0
        below, median = 0.0, 0.0
        for ratio in sorted(self.ratios, key=lambda ratio: ratio.log):
            below, median = below + ratio.weight, ratio.log
            if below >= half:
                break
        bound = math.log(FACTOR_BOUND)
        return math.exp(min(max(median, -bound), bound))

    def observed(self, ratio: Ratio) -> 'RunningFactor':
        """Return the factor after one more bill.

        Arguments:
            ratio: measured / predicted, with this factor in the prediction.
        """
        fitted = Ratio(ratio.log + math.log(self.value), ratio.weight)
        return RunningFactor((*self.ratios, fitted)[-WINDOW:])


NO_CHANGE = RunningFactor((Ratio(),) * WINDOW)
"""Before the first bill, the window is full of ones."""
