"""Interrupts generation: at the deadline, when the node aborts it, or for an urgent query."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from timebill_ros.core.abort_flag import AbortFlag
from timebill_ros.core.deadline import Deadline
from timebill_ros.inference.give_way import GiveWay, Left
from timebill_ros.inference.step.decoder_library import NEVER_NS


class InterruptedGenerationError(Exception):
    """Raised inside the model's forward pass if its result is no longer wanted."""


@dataclass(frozen=True)
class Interrupt:
    """Checked before every chunk, step and layer.

    Arguments:
        deadline: the plan must end before it.
        abort: another thread sets it to end generation at any time.
        stop: when generation ends by itself; None: at the deadline.
        give_way: called where a more urgent query may run first.
        free: frees the generation's cache; called if its query is dropped while others run.
    """

    deadline: Deadline
    abort: AbortFlag = field(default_factory=AbortFlag)
    stop: Deadline | None = None
    give_way: GiveWay = field(default_factory=GiveWay)
    free: Callable[[], None] = lambda: None

    def check(self) -> None:
        """Raise InterruptedGenerationError if generation must end."""
        if self.abort.is_set() or (self.stop or self.deadline).has_passed():
            raise InterruptedGenerationError

    def was_checked(self, longest_s: float) -> None:
        """Learn that the library has checked it; one that measures overrides this.

        Arguments:
            longest_s: the longest time between two checks since the last one from here [s].
        """

    def leave(self) -> None:
        """Let more urgent queries run first, if there are any.

        Raises:
            InterruptedGenerationError: some have run, and the generation must end by now.
        """
        if self.give_way(Left(self.abort.is_set, self.free)):
            self.check()

    @property
    def at_ns(self) -> int:
        """When it is due on the system's monotonic clock [ns]; on another clock: never."""
        ends = self.stop or self.deadline
        if ends.clock is not time.monotonic or ends.at_s * 1e9 >= NEVER_NS:
            return NEVER_NS
        return math.floor(ends.at_s * 1e9)
