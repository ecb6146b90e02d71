"""Adds up the time of what is done again and again."""

from collections.abc import Callable


class Stopwatch:
    """Runs within `with`. It does not nest.

    Arguments:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._start_s = 0.0
        self.total_s = 0.0

    def __enter__(self) -> None:
        self._start_s = self._clock()

    def __exit__(self, *exception: object) -> None:
        self.total_s += self._clock() - self._start_s
