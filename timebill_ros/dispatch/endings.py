"""Where queries end: each exactly once, whatever ends it."""

import threading
from collections.abc import Callable
from typing import Protocol

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


class Ended(Protocol):
    """Told of queries that end. `RemoteTurns` is."""

    def ended(self, entry: PendingQuery, outcome: Outcome) -> None:
        """Be told of a query that has run or waited, and has been replied to."""

    def own_ended(self, entry: PendingQuery, outcome: Outcome) -> None:
        """Be told how the own model has ended a query that a remote engine answers too."""

    def at_last_moment(self, entry: PendingQuery) -> None:
        """Be told that time is up for a query that both answer."""


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
        ended: gives who is told.
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
        ended: Callable[[], Ended],
    ) -> None:
        self.settings = settings
        self._pending = pending
        self._slot = slot
        self._writer = writer
        self._guard = guard
        self._lock = lock
        self._clock = clock
        self._ended = ended
        self._late: LateRun | None = None

    def end(self, entry: PendingQuery, outcome: Outcome) -> None:
        """End a query. The one place where that happens."""
        self._pending.remove(entry)
        if entry.attempt is not None and entry.attempt.is_race:
            entry.bill.remote_lost(self._clock(), entry.attempt.tokens)
        if self._late is not None and self._late.entry is entry:
            self._late = None
        self._writer.end(entry, outcome)
        self._slot.drop(entry, self.settings.abort_grace_s)
        self._ended().ended(entry, outcome)

    def end_own(self, entry: PendingQuery, outcome: Outcome) -> None:
        """End a query as the own model has. One that a remote engine answers too may go on."""
        if not entry.is_racing:
            self.end(entry, outcome)
        elif entry.held is None:
            self.drop_own(entry)
            self._ended().own_ended(entry, outcome)

    def drop_own(self, entry: PendingQuery) -> None:
        """Have the own model forget a query, or stop it; the remote engine goes on."""
        self._pending.queue.remove(entry.number)
        self._slot.drop(entry, self.settings.abort_grace_s)

    def end_all(self, outcome: Miss) -> None:
        """End all queries with an outcome."""
        for entry in self._pending.all():
            self.end(entry, outcome)

    def end_all_own(self, outcome: Miss) -> None:
        """End the queries that the own model answers; those that a remote engine answers go on."""
        for entry in self._pending.all():
            if not entry.is_remote:
                self.end_own(entry, outcome)

    def end_due(self) -> None:
        """End what has come to its last moment; whoever has the lock does so before anything else.

        The guard's thread alone would be late: in a burst of queries, the executor's releases the
        lock and has it again before the guard's gets to run.
        """
        for entry in self._pending.due():
            if entry.is_racing:
                self._ended().at_last_moment(entry)
                if self._pending.get(entry.number) is None:
                    continue
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
            self.end_own(waiting, late.skipped())

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
