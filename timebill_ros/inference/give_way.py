"""Leaves a generation for more urgent ones, and returns to it."""

import time
from collections.abc import Callable

from timebill_ros.core.deadline import Clock


class GiveWay:
    """Called between two chunks of a prefill and two steps of decoding.

    There, nothing of a generation is in a place that another one writes to, or it is put back.

    Arguments:
        answer_urgent: answers all queries that are more urgent; returns how many.
        clock: monotonic seconds.
    """

    def __init__(
        self, answer_urgent: Callable[[], int] = lambda: 0, clock: Clock = time.monotonic
    ) -> None:
        self._answer_urgent = answer_urgent
        self._clock = clock
        self.preemptions = 0
        self.preempted_s = 0.0

    def __call__(self) -> None:
        """Answer what is more urgent, if there is anything."""
        start_s = self._clock()
        if answered := self._answer_urgent():
            self.preemptions += answered
            self.preempted_s += self._clock() - start_s
