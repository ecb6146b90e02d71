"""When each query must end: its deadline less the reserve, as it was when the query came."""

import heapq
import math
from collections.abc import Callable, Iterator

from timebill_ros.core.deadline import Clock
from timebill_ros.dispatch.deadline_guard import DeadlineGuard


class LastMoments:
    """The last moments of the queries that are served. Used under the dispatcher's lock.

    The guard is told of the earliest only, and queries that ended long before their deadlines are
    cleared away: many short queries with long budgets leave nothing behind.

    Arguments:
        guard: calls back at the earliest.
        call: what it calls; it must take due() and then rearm().
        clock: monotonic seconds.
    """

    def __init__(self, guard: DeadlineGuard, call: Callable[[], None], clock: Clock) -> None:
        self._guard = guard
        self._call = call
        self._clock = clock
        self._heap: list[tuple[float, int]] = []
        self._live: set[int] = set()
        self._armed_s = math.inf

    def add(self, number: int, at_s: float) -> None:
        """Watch a query."""
        self._live.add(number)
        heapq.heappush(self._heap, (at_s, number))
        self._arm()

    def remove(self, number: int) -> None:
        """Forget a query; nothing happens if it is not watched."""
        self._live.discard(number)
        if len(self._heap) > 2 * len(self._live) + 64:
            self._heap = [moment for moment in self._heap if moment[1] in self._live]
            heapq.heapify(self._heap)

    def due(self) -> Iterator[int]:
        """Yield the queries that have come to their last moment, in its order, and forget them."""
        while self._heap and self._heap[0][0] <= self._clock():
            _, number = heapq.heappop(self._heap)
            if number in self._live:
                self._live.remove(number)
                yield number

    def rearm(self) -> None:
        """Tell the guard of the next one, when it has called."""
        self._armed_s = math.inf
        self._arm()

    def _arm(self) -> None:
        if self._heap and self._heap[0][0] < self._armed_s:
            self._armed_s = self._heap[0][0]
            self._guard.at(self._armed_s, self._call)
