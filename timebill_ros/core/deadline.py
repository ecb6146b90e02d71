"""A deadline: the point in time after which an answer is worthless."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

Clock = Callable[[], float]
"""Seconds of a clock that never goes back. time.monotonic is one for all processes."""


@dataclass(frozen=True, order=True)
class Deadline:
    """An absolute deadline on a monotonic clock.

    Arguments:
        at_s: the deadline on that clock [s]; math.inf: none.
        clock: monotonic seconds; tests pass their own.
    """

    at_s: float
    clock: Clock = field(default=time.monotonic, compare=False, repr=False)

    def remaining_s(self) -> float:
        """Time that is left [s]; negative when the deadline has passed."""
        return self.at_s - self.clock()

    def has_passed(self) -> bool:
        """Whether no time is left."""
        return self.remaining_s() <= 0.0
