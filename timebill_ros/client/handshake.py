"""Finds out whether a node's publishers have found an asker's subscriptions."""

import time
from collections.abc import Callable, Hashable

from rclpy.task import Future

RETRY_S = 0.5
"""A request is repeated so often: its response is lost if the node has not found us by then."""
UNANSWERED_S = 2.0
"""The asker's node may not be spun, and then no response can be seen."""


class Handshake:
    """Requests something that changes nothing, until the node responds.

    DDS lets either side find the other by itself, and a reply that is published before the node's
    publishers have found the asker's subscriptions is lost. That cannot be seen from the asker's
    side. But DDS announces what an asker makes in order, so a node that responds to a service
    client has found the subscriptions that were made before it.

    Arguments:
        request: sends a request; returns its future, or None: the service is not there.
        forget: drops a request that is repeated.
        clock: the monotonic clock [s].
    """

    def __init__(
        self,
        request: Callable[[], Future | None],
        forget: Callable[[Future], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._request = request
        self._forget = forget
        self._clock = clock
        self._server: Hashable = None
        self._began_s = 0.0
        self._requested_s = 0.0
        self._response: Future | None = None

    def is_done(self, server: Hashable) -> bool:
        """Return whether a server has responded, or has not for UNANSWERED_S.

        Arguments:
            server: what tells it from another one, as after a restart; None: there is none.
        """
        now_s = self._clock()
        if server != self._server:
            self._server, self._began_s = server, now_s
            self._send(now_s)
        if server is None:
            return False
        if self._response is not None and self._response.done():
            return True
        if now_s >= self._began_s + UNANSWERED_S:
            return True
        if self._response is None or now_s >= self._requested_s + RETRY_S:
            self._send(now_s)
        return False

    def _send(self, now_s: float) -> None:
        if self._response is not None:
            self._forget(self._response)
        self._response = None if self._server is None else self._request()
        self._requested_s = now_s
