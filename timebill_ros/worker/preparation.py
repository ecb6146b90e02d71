"""A context that is to be read in idle time."""

import threading
from dataclasses import dataclass, field

from timebill_ros.worker.protocol import Prepare


@dataclass(eq=False)
class Preparation:
    """Waits until nothing else is to be done.

    Arguments:
        abort: set when something else is to be done.
        spent_s: time that was spent on it so far [s].
    """

    message: Prepare
    abort: threading.Event = field(default_factory=threading.Event)
    spent_s: float = 0.0
