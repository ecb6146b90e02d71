"""Leaves a generation for more urgent ones, and returns to it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from timebill_ros.core.deadline import Clock


@dataclass(frozen=True)
class Left:
    """A generation that is left for others.

    Arguments:
        is_dropped: tells whether nobody wants its answer any more.
        free: frees its cache. Then it cannot go on.
    """

    is_dropped: Callable[[], bool]
    free: Callable[[], None]

    def free_if_dropped(self) -> None:
        """Free its cache at once if it was dropped, not only when its turn comes again."""
        if self.is_dropped():
            self.free()


class GiveWay:
    """Called between two chunks of a prefill and two steps of decoding.

    There, nothing of a generation is in a place that another one writes to, or it is put back.

    Arguments:
        answer_urgent: takes the generation that is left. It answers all queries that are more
            urgent, and returns how many.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        answer_urgent: Callable[[Left], int] = lambda _: 0,
        clock: Clock = time.monotonic,
    ) -> None:
        self._answer_urgent = answer_urgent
        self._clock = clock
        self.preemptions = 0
        self.preempted_s = 0.0

    def __call__(self, left: Left) -> bool:
        """Answer what is more urgent, if there is anything; return whether there was."""
        start_s = self._clock()
        answered = self._answer_urgent(left)
        if answered:
            self.preemptions += answered
            self.preempted_s += self._clock() - start_s
        return answered > 0
