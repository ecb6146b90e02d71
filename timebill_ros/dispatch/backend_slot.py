"""The backend as the dispatcher sees it: there or not, and what it is busy with."""

import threading

from timebill_ros.core.deadline import Clock
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.dispatch.deadline_guard import DeadlineGuard
from timebill_ros.dispatch.pending_query import PendingQuery
from timebill_ros.dispatch.ports import Backend


class BackendSlot:
    """Runs one query at a time. Used under the dispatcher's lock.

    Arguments:
        guard: calls back when a backend should have stopped.
        lock: the dispatcher's, for that call.
        clock: monotonic seconds.
    """

    def __init__(self, guard: DeadlineGuard, lock: threading.RLock, clock: Clock) -> None:
        self._guard = guard
        self._lock = lock
        self._clock = clock
        self._backend: Backend | None = None
        self.busy_with: int | None = None
        """The number of what it runs, also when that query has ended."""

    @property
    def is_open(self) -> bool:
        """Whether there is a backend."""
        return self._backend is not None

    def put(self, backend: Backend | None) -> None:
        """Take a backend that is ready and idle, or lose it."""
        self._backend, self.busy_with = backend, None

    def submit(self, entry: PendingQuery) -> None:
        """Have a query tokenised and held."""
        assert self._backend is not None
        self._backend.submit(entry.number, entry.query)

    def run(self, entry: PendingQuery, planner: PlannerSettings) -> None:
        """Have a query answered."""
        assert self._backend is not None
        self.busy_with = entry.number
        self._backend.run(
            entry.number,
            max_new_tokens=entry.max_new_tokens,
            last_moment_s=entry.last_moment_s,
            stop_at_s=entry.stop_at_s,
            planner=planner,
        )

    def is_done_with(self, number: int) -> None:
        """Learn that the backend has ended what it ran."""
        if self.busy_with == number:
            self.busy_with = None

    def drop(self, entry: PendingQuery, grace_s: float) -> None:
        """Have a query that has ended forgotten, or stopped; replace a backend that does not stop.

        Arguments:
            grace_s: how long stopping may take [s].
        """
        if self._backend is None:
            return
        number = entry.number
        if self.busy_with == number or entry.is_waiting:
            self._backend.drop(number)
        if self.busy_with == number:
            detail = f'it did not stop within abort_grace, {grace_s:.1f} s'
            self._guard.at(self._clock() + grace_s, lambda: self._on_grace_over(number, detail))

    def kill(self, detail: str) -> None:
        """End a backend that does not answer; it is replaced."""
        if self._backend is not None:
            self._backend.kill(detail)

    def _on_grace_over(self, number: int, detail: str) -> None:
        with self._lock:
            if self.busy_with == number:
                self.kill(detail)
