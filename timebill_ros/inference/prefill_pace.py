"""Keeps the CPU only a few layers ahead of a GPU, so that a prefill can be interrupted.

The CPU queues work for the GPU. Without a limit, most layers of a long prompt are in the queue
before the first has been computed. They would run for seconds after an interrupt.
"""

from collections import deque
from collections.abc import Callable

import torch

LAYERS_AHEAD = 2
"""Enough to keep the GPU busy while the CPU queues the next layer."""


class PrefillPace:
    """Called once for each layer, on the thread that queues.

    Arguments:
        check: called when the queue is short; it may raise an error to end the prefill.
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
