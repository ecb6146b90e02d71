"""What may cut generation off: the deadline, or the node's abort."""

import threading
from dataclasses import dataclass, field

from timebill_ros.core.deadline import Deadline


class InterruptedGenerationError(Exception):
    """Raised inside the model's forward pass when its work has become worthless."""


@dataclass(frozen=True)
class Interrupt:
    """Asked before every chunk, step and layer.

    Arguments:
        deadline: when generation ends by itself.
        abort: set from another thread to end it before.
    """

    deadline: Deadline
    abort: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raise InterruptedGenerationError if there is no point in going on."""
        if self.abort.is_set() or self.deadline.has_passed():
            raise InterruptedGenerationError
