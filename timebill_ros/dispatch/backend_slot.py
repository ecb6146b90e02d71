"""The worker as the dispatcher sees it: there or not, and what it is busy with."""

import threading

from timebill_ros.core.deadline import Clock
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.dispatch.deadline_guard import DeadlineGuard
from timebill_ros.dispatch.pending_query import PendingQuery
from timebill_ros.dispatch.ports import Worker
from timebill_ros.worker.protocol import Drop, Run, Submit


class WorkerSlot:
    """Runs one query at a time. Used under the dispatcher's lock.

    Arguments:
        guard: calls back when a worker should have stopped.
        lock: the dispatcher's, for that call.
        clock: monotonic seconds.
    """

    def __init__(self, guard: DeadlineGuard, lock: threading.RLock, clock: Clock) -> None:
        self._guard = guard
        self._lock = lock
        self._clock = clock
        self._worker: Worker | None = None
        self.busy_with: int | None = None
        """The number of what it runs, also when that query has ended."""

    @property
    def is_open(self) -> bool:
        """Whether there is a worker."""
        return self._worker is not None

    def put(self, worker: Worker | None) -> None:
        """Take a worker that is ready and idle, or lose it."""
        self._worker, self.busy_with = worker, None

    def submit(self, entry: PendingQuery) -> None:
        """Have a query tokenised and held."""
        assert self._worker is not None
        self._worker.send(Submit(entry.number, entry.query.prompt, entry.query.system_prompt))

    def run(self, entry: PendingQuery, planner: PlannerSettings) -> None:
        """Have a query answered."""
        assert self._worker is not None
        self.busy_with = entry.number
        self._worker.send(
            Run(
                entry.number,
                entry.query.max_new_tokens,
                entry.last_moment_s,
                entry.stop_at_s,
                planner,
            )
        )

    def is_done_with(self, number: int) -> None:
        """Learn that the worker has ended what it ran."""
        if self.busy_with == number:
            self.busy_with = None

    def drop(self, entry: PendingQuery, grace_s: float) -> None:
        """Have a query that has ended forgotten, or stopped; replace a worker that does not stop.

        Arguments:
            grace_s: how long stopping may take [s].
        """
        if self._worker is None:
            return
        number = entry.number
        if self.busy_with == number or entry.started_at_s is None:
            self._worker.send(Drop(number))
        if self.busy_with == number:
            detail = f'it did not stop within abort_grace, {grace_s:.1f} s'
            self._guard.at(self._clock() + grace_s, lambda: self._on_grace_over(number, detail))

    def kill(self, detail: str) -> None:
        """End a worker that does not answer; it is replaced."""
        if self._worker is not None:
            self._worker.kill(detail)

    def _on_grace_over(self, number: int, detail: str) -> None:
        with self._lock:
            if self.busy_with == number:
                self.kill(detail)
