"""Tells the node how far the measuring of the time model is."""

import time
from collections.abc import Callable

from timebill_ros.worker.protocol import FromWorker, Phase

_TELL_PERIOD_S = 1.0


class MeasuringProgress:
    """Tells the node how far the measuring is, at most once a second.

    Arguments:
        send: takes messages for the node.
    """

    def __init__(self, send: Callable[[FromWorker], None]) -> None:
        self._send = send
        self._next_s = time.monotonic()

    def __call__(self, share: float) -> None:
        """Tell it, if it was not told just before."""
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _TELL_PERIOD_S
            self._send(Phase('measuring', share))
