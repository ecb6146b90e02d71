"""One thread that keeps all deadlines, whatever the backend and the executor do."""

import heapq
import itertools
import math
import threading
from collections.abc import Callable

from timebill_ros.core.deadline import Clock


class DeadlineGuard:
    """Calls back at points in time, in their order, from one thread.

    A ROS timer a query would cost the executor 6 ms of every spin at a thousand queries.

    Arguments:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name='deadline_guard', daemon=True)
        self._thread.start()

    def at(self, time_s: float, call: Callable[[], None]) -> None:
        """Call back at a time on the clock [s]; at once if it has passed.

        There is no way to call it off: the callee looks whether its query is still there.
        """
        with self._wake:
            heapq.heappush(self._heap, (time_s, next(self._order), call))
            if self._heap[0][0] == time_s:
                self._wake.notify()

    def close(self) -> None:
        """End the thread; what has not come due is forgotten."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._closed and self._wait_s() > 0:
                    wait_s = self._wait_s()
                    self._wake.wait(None if math.isinf(wait_s) else wait_s)
                if self._closed:
                    return
                _, _, call = heapq.heappop(self._heap)
            call()

    def _wait_s(self) -> float:
        return self._heap[0][0] - self._clock() if self._heap else math.inf
