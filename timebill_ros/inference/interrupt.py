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
        deadline: what the plan must fit into.
        abort: set from another thread to end it at any time.
        stop: when generation ends by itself; None: at the deadline.
    """

    deadline: Deadline
    abort: threading.Event = field(default_factory=threading.Event)
    stop: Deadline | None = None

    def check(self) -> None:
        """Raise InterruptedGenerationError if there is no point in going on."""
        if self.abort.is_set() or (self.stop or self.deadline).has_passed():
            raise InterruptedGenerationError
