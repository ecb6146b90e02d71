"""The backend as the dispatcher sees it: there or not, and what it is busy with.

A query that is sent while another one runs preempts it: the other goes on when it has ended. So
what has begun is a stack, and the last to begin is the one that runs.
"""

import threading

from timebill_ros.core.asker_lengths import AskerLengths
from timebill_ros.core.deadline import Clock
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.dispatch.deadline_guard import DeadlineGuard
from timebill_ros.dispatch.pending_query import PendingQuery
from timebill_ros.dispatch.ports import Backend


class BackendSlot:
    """Runs one query at a time, the last that was sent. Used under the dispatcher's lock.

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
        self._begun: list[int] = []
        self._grace_s: dict[int, float] = {}
        """Of what has begun and was dropped: how long it may take to stop, once it runs [s]."""

    @property
    def busy_with(self) -> int | None:
        """The number of what it runs, also when that query has ended; None: nothing."""
        return self._begun[-1] if self._begun else None

    @property
    def begun(self) -> list[int]:
        """What it runs, then what that has preempted, the last first."""
        return self._begun[::-1]

    @property
    def is_open(self) -> bool:
        """Whether there is a backend."""
        return self._backend is not None

    def put(self, backend: Backend | None) -> None:
        """Take a backend that is ready and idle, or lose it."""
        self._backend = backend
        self._begun.clear()
        self._grace_s.clear()

    def submit(self, entry: PendingQuery) -> None:
        """Have a query tokenised and held."""
        assert self._backend is not None
        self._backend.submit(entry.number, entry.query)

    def run(
        self, entry: PendingQuery, planner: PlannerSettings, lengths: AskerLengths | None = None
    ) -> None:
        """Have a query answered, before what runs."""
        assert self._backend is not None
        self._begun.append(entry.number)
        self._backend.run(
            entry.number,
            max_new_tokens=entry.max_new_tokens,
            last_moment_s=entry.last_moment_s,
            stop_at_s=entry.stop_at_s,
            planner=planner,
            lengths=lengths,
        )

    def is_done_with(self, number: int) -> None:
        """Learn that the backend has ended a query, and goes on with what that had preempted."""
        if number not in self._begun:
            return
        was_running = self.busy_with == number
        self._begun.remove(number)
        self._grace_s.pop(number, None)
        resumed = self.busy_with
        if was_running and resumed is not None and resumed in self._grace_s:
            self._expect_end(resumed)

    def drop(self, entry: PendingQuery, grace_s: float) -> None:
        """Have a query that has ended forgotten, or stopped; replace a backend that does not stop.

        Arguments:
            grace_s: how long stopping may take [s].
        """
        number = entry.number
        if self._backend is None or number in self._grace_s:
            return
        if number in self._begun or entry.is_waiting:
            self._backend.drop(number)
        if number in self._begun:
            self._grace_s[number] = grace_s
        if self.busy_with == number:
            self._expect_end(number)

    def kill(self, detail: str) -> None:
        """End a backend that does not answer; it is replaced."""
        if self._backend is not None:
            self._backend.kill(detail)

    def _expect_end(self, number: int) -> None:
        # One that is preempted cannot answer: its silence is not the backend's.
        grace_s = self._grace_s[number]
        detail = f'it did not stop within abort_grace, {grace_s:.1f} s'
        self._guard.at(self._clock() + grace_s, lambda: self._on_grace_over(number, detail))

    def _on_grace_over(self, number: int, detail: str) -> None:
        with self._lock:
            if self.busy_with == number:
                self.kill(detail)
