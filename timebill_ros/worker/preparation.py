"""A context that is to be read in idle time."""

from dataclasses import dataclass, field

from timebill_ros.core.abort_flag import AbortFlag
from timebill_ros.worker.protocol import Prepare


@dataclass(eq=False)
class Preparation:
    """Waits until nothing else is to be done.

    Arguments:
        abort: set when something else is to be done.
        spent_s: time that was spent on it so far [s].
    """

    message: Prepare
    abort: AbortFlag = field(default_factory=AbortFlag)
    spent_s: float = 0.0
