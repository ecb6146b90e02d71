"""Where queries end: each exactly once, whatever ends it."""

import threading
from collections.abc import Callable

from timebill_ros.core.deadline import Clock
from timebill_ros.core.outcome import Miss, MissReason, Outcome
from timebill_ros.dispatch import overrun
from timebill_ros.dispatch.backend_slot import BackendSlot
from timebill_ros.dispatch.deadline_guard import DeadlineGuard
from timebill_ros.dispatch.dispatch_settings import DispatchSettings
from timebill_ros.dispatch.late_run import LateRun
from timebill_ros.dispatch.pending_queries import PendingQueries
from timebill_ros.dispatch.pending_query import PendingQuery
from timebill_ros.dispatch.reply_writer import ReplyWriter


class Endings:
    """Ends queries: their replies go out, and the backend drops them.

    Under SKIP_NEXT, a running query is not ended at its last moment. It runs on, late, and its
    bounds are kept from here. Used under the dispatcher's lock.

    Arguments:
        settings: the dispatcher's, which sets others when they change.
        pending: the queries that have not ended.
        slot: the backend.
        writer: takes the replies.
        guard: calls back to look at a late query.
        lock: the dispatcher's, for that call.
        clock: monotonic seconds.
        on_end: told of each query that has run or waited, and its outcome.
    """

    def __init__(
        self,
        settings: DispatchSettings,
        pending: PendingQueries,
        slot: BackendSlot,
        writer: ReplyWriter,
        guard: DeadlineGuard,
        lock: threading.RLock,
        clock: Clock,
        on_end: Callable[[PendingQuery, Outcome], None],
    ) -> None:
        self.settings = settings
        self._pending = pending
        self._slot = slot
        self._writer = writer
        self._guard = guard
        self._lock = lock
        self._clock = clock
        self._on_end = on_end
        self._late: LateRun | None = None

    def end(self, entry: PendingQuery, outcome: Outcome) -> None:
        """End a query. The one place where that happens."""
        self._pending.remove(entry)
        if self._late is not None and self._late.entry is entry:
            self._late = None
        self._writer.end(entry, outcome)
        self._slot.drop(entry, self.settings.abort_grace_s)
        self._on_end(entry, outcome)

    def end_all(self, outcome: Miss, but_remote: bool = False) -> None:
        """End all queries with an outcome; perhaps not those that a remote engine answers."""
        for entry in self._pending.all():
            if not (but_remote and entry.is_remote):
                self.end(entry, outcome)

    def end_due(self) -> None:
        """End what has come to its last moment; whoever has the lock does so before anything else.

        The guard's thread alone would be late: in a burst of queries, the executor's releases the
        lock and has it again before the guard's gets to run.
        """
        for entry in self._pending.due():
            outcome = overrun.outcome_at_last_moment(entry, self._clock())
            if outcome is not None:
                self.end(entry, outcome)
            elif entry.number == self._slot.busy_with:
                self._run_on(entry)
            # Else it is preempted: what has preempted it is in time, and goes first.

    def resumed(self, entry: PendingQuery) -> None:
        """Let a query run on that was preempted, and is late by now; nothing happens to others."""
        if entry.is_late(self._clock()) and self._late is None:
            self._run_on(entry)

    def skipped(self) -> Miss | None:
        """Return how other queries end while one runs late; None: none does."""
        return None if self._late is None else self._late.skipped()

    def _run_on(self, entry: PendingQuery) -> None:
        self._late = late = LateRun(entry, self.settings)
        self._guard.at(late.look_at_s, lambda: self._look_at(late))
        for waiting in self._pending.queue.in_order(self.settings.queue_order):
            self.end(waiting, late.skipped())

    def _look_at(self, late: LateRun) -> None:
        """See whether a late query may go on."""
        with self._lock:
            if self._late is not late:
                return
            miss = late.end(self._clock())
            if miss is None:
                self._guard.at(late.look_at_s, lambda: self._look_at(late))
                return
            self.end(late.entry, miss)
            if miss.reason is MissReason.ENGINE_FAULT:
                self._slot.kill(miss.detail)
