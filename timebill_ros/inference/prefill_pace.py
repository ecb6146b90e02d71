"""Keeps the CPU a few layers ahead of a GPU and no more, so that a prefill can be cut off.

A GPU's work is queued. Unpaced, most of a long prompt's layers are in the queue before the first
has been computed, and run on for seconds when their answer is worth nothing any more.
"""

from collections import deque
from collections.abc import Callable

import torch

LAYERS_AHEAD = 2
"""So many keep the GPU busy while the CPU queues the next."""


class PrefillPace:
    """Called once a layer, on the thread that queues.

    Arguments:
        check: called when the queue is short; it may raise to end the prefill.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._queued: deque[torch.cuda.Event] = deque()

    def __call__(self) -> None:
        """Wait until no more than LAYERS_AHEAD layers are queued, then check."""
        event = torch.cuda.Event(blocking=True)
        event.record()
        self._queued.append(event)
        if len(self._queued) > LAYERS_AHEAD:
            self._queued.popleft().synchronize()
        self._check()
