"""Every query's way through the node: admitted, queued, run, and ended exactly once.

One lock covers the bookkeeping and the publishing: so a query has one terminal reply, its chunks
come before it, and nothing comes after it. Knows neither ROS nor torch.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.deadline import Clock
from timebill_ros.core.outcome import Miss, MissReason, Outcome
from timebill_ros.core.query import Origin, Query
from timebill_ros.dispatch import overrun
from timebill_ros.dispatch.admission import Admission, expired, too_long
from timebill_ros.dispatch.deadline_guard import DeadlineGuard
from timebill_ros.dispatch.dispatch_settings import DispatchSettings
from timebill_ros.dispatch.last_moments import LastMoments
from timebill_ros.dispatch.late_run import LateRun
from timebill_ros.dispatch.pending_queries import PendingQueries
from timebill_ros.dispatch.pending_query import PendingQuery
from timebill_ros.dispatch.ports import Replies, Worker
from timebill_ros.dispatch.reply_writer import ReplyWriter
from timebill_ros.dispatch.response_lengths import ResponseLengths
from timebill_ros.dispatch.worker_slot import WorkerSlot
from timebill_ros.worker.protocol import Faulted, Finished, Planned, Text, Tokenised


class Dispatcher:
    """Serves queries with one worker. Methods may be called from any thread, and return at once.

    Queries are served while there is a worker (open, close) and the node is active (resume,
    pause); it begins closed and paused.

    Arguments:
        settings: bounds, periods and rules.
        replies: takes what is to be published.
        clock: monotonic seconds, that of the queries' deadlines.
        why_not_ready: asked for a sentence, while queries are not served; must not wait.
    """

    def __init__(
        self,
        settings: DispatchSettings,
        replies: Replies,
        clock: Clock,
        why_not_ready: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._replies = replies
        self._clock = clock
        self._why_not_ready = why_not_ready
        self._lock = threading.RLock()
        self._guard = DeadlineGuard(clock)
        self._last_moments = LastMoments(self._guard, self._on_last_moment, clock)
        self._pending = PendingQueries(self._last_moments)
        self._writer = ReplyWriter(replies, clock)
        self._slot = WorkerSlot(self._guard, self._lock, clock)
        self._late: LateRun | None = None
        self.is_active = False
        self._context_length = 0
        self._planner = BudgetPlanner()
        self._lengths = ResponseLengths()

    def open(self, worker: Worker, context_length: int, planner: BudgetPlanner) -> None:
        """Take a worker that is ready, and idle."""
        with self._lock:
            self._slot.put(worker)
            self._context_length, self._planner = context_length, planner

    def close(self, outcome: Miss) -> None:
        """Lose the worker, and end all queries with an outcome."""
        with self._lock:
            self._slot.put(None)
            self._end_all(outcome)

    def resume(self) -> None:
        """Serve queries, from when there is a worker."""
        with self._lock:
            self.is_active = True

    def pause(self, outcome: Miss) -> None:
        """End all queries with an outcome, and refuse those to come; the worker stays.

        It is told to drop what it runs, and replaced if it does not.
        """
        with self._lock:
            self.is_active = False
            self._end_all(outcome)

    def shut_down(self) -> None:
        """End the guard's thread, after close()."""
        self._guard.close()

    def submit(self, query: Query) -> None:
        """Admit a query, or refuse it."""
        with self._lock:
            self._end_due()
            miss = self._refusal(query)
            if miss is not None:
                self._writer.refuse(query, miss)
            else:
                self._slot.submit(self._pending.add(query, self._settings))

    def refuse(self, origin: Origin, miss: Miss) -> None:
        """Reply to what was asked and is no valid query."""
        with self._lock:
            self._end_due()
            self._replies.publish_outcome(origin, miss, Bill(), chunk_count=0)

    def cancel(self, asker: str, query_id: str, detail: str) -> int:
        """End a query as CANCELLED, whether it waits or runs; return how many were ended.

        Arguments:
            query_id: empty: all queries of the asker.
            detail: the sentence of their misses.
        """
        with self._lock:
            self._end_due()
            entries = self._pending.of(asker, query_id)
            for entry in entries:
                self._end(entry, Miss(MissReason.CANCELLED, detail))
            return len(entries)

    def on_worker_message(self, message: Any) -> None:
        """Take what the worker says of a query; of one that has ended, that the worker is free."""
        with self._lock:
            if not self._slot.is_open:
                return
            self._end_due()
            entry = self._pending.get(message.number)
            if entry is not None:
                entry.heard_at_s = self._clock()
            if isinstance(message, Tokenised) and entry is not None:
                self._on_tokenised(entry, message.prompt_tokens)
            elif isinstance(message, Planned) and entry is not None:
                entry.planned_at_s = self._clock()
                entry.bill = replace(message.bill, queue_time=entry.bill.queue_time)
            elif isinstance(message, Text) and entry is not None:
                self._on_text(entry, message)
            elif isinstance(message, Finished | Faulted):
                self._on_end_of_run(message, entry)
            self._start_next()

    def change_settings(self, settings: DispatchSettings) -> None:
        """Take other settings, from the next query on."""
        with self._lock:
            self._settings = settings

    def change_planner(self, planner: BudgetPlanner) -> None:
        """Admit and plan by another estimate or other settings, from the next query on."""
        with self._lock:
            self._planner = planner

    @property
    def queue_length(self) -> int:
        """Number of queries that wait."""
        with self._lock:
            return len(self._pending.queue)

    @property
    def is_serving(self) -> bool:
        """Whether queries wait for their reply, or the worker still runs one."""
        with self._lock:
            return len(self._pending) > 0 or self._slot.busy_with is not None

    def _refusal(self, query: Query) -> Miss | None:
        """Return why a query is refused at its arrival; an asker's older ones may end for it."""
        if not (self._slot.is_open and self.is_active):
            return Miss(MissReason.NOT_READY, self._why_not_ready())
        miss = expired(query, self._settings.publish_reserve_s)
        if miss is not None:
            return miss
        if query.key in self._pending:
            return Miss(
                MissReason.DUPLICATE_ID,
                f'id {query.key.id!r} of asker {query.key.asker!r} is still being served',
            )
        if self._settings.keep_latest:
            self.cancel(
                query.key.asker,
                '',
                f'the same asker has asked a newer query, {query.key.id!r} (keep_latest)',
            )
        if self._late is not None:
            return self._late.skipped()
        length, bound = len(self._pending.queue), self._settings.max_queue_length
        if length >= bound:
            return Miss(
                MissReason.QUEUE_FULL, f'{length} queries wait, max_queue_length is {bound}'
            )
        return None

    def _on_tokenised(self, entry: PendingQuery, prompt_tokens: int) -> None:
        entry.is_tokenised = True
        entry.bill = replace(entry.bill, prompt_tokens=prompt_tokens)
        miss = too_long(prompt_tokens, self._context_length)
        if miss is not None:
            self._end(entry, miss)
            return
        entry.max_new_tokens = min(entry.max_new_tokens, self._context_length - prompt_tokens)
        self._end_in_vain()

    def _end_in_vain(self) -> None:
        """End what waits and cannot be met, as far as can be predicted."""
        running = self._pending.get(self._slot.busy_with)
        admission = Admission(self._settings, self._planner, self._lengths)
        for refused in admission.in_vain(self._waiting(), running, self._clock()):
            refused.entry.bill = refused.bill
            self._end(refused.entry, refused.miss)

    def _on_text(self, entry: PendingQuery, message: Text) -> None:
        entry.bill = replace(entry.bill, response_tokens=message.response_tokens)
        entry.text.add(message.text)
        self._writer.chunk(entry, self._settings.chunk_period_s)

    def _on_end_of_run(self, message: Finished | Faulted, entry: PendingQuery | None) -> None:
        self._slot.is_done_with(message.number)
        if entry is None:
            return
        if isinstance(message, Faulted):
            self._end(entry, Miss(MissReason.ENGINE_FAULT, message.detail))
            return
        entry.bill = replace(message.bill, queue_time=entry.bill.queue_time)
        if message.finish_reason != 0:
            self._lengths.observe(message.bill.response_tokens)
        self._end(entry, overrun.finished(entry, message.finish_reason, self._clock()))

    def _start_next(self) -> None:
        if not self._slot.is_open or self._slot.busy_with is not None:
            return
        self._end_in_vain()
        waiting = self._waiting()
        if waiting and waiting[0].is_tokenised:
            self._start(waiting[0])

    def _start(self, entry: PendingQuery) -> None:
        self._pending.queue.remove(entry.number)
        entry.started_at_s = entry.heard_at_s = self._clock()
        entry.bill = replace(entry.bill, queue_time=entry.started_at_s - entry.query.asked_at_s)
        self._slot.run(entry, overrun.planner_settings(entry, self._planner.settings))

    def _on_last_moment(self) -> None:
        with self._lock:
            self._end_due()
            self._last_moments.rearm()

    def _end_due(self) -> None:
        """End what has come to its last moment; whoever has the lock does so before anything else.

        The guard's thread alone would be late: in a burst of queries, the executor's releases the
        lock and has it again before the guard's gets to run.
        """
        for entry in self._pending.due():
            outcome = overrun.outcome_at_last_moment(entry, self._clock())
            if outcome is None:
                self._run_on(entry)
            else:
                self._end(entry, outcome)

    def _run_on(self, entry: PendingQuery) -> None:
        self._late = late = LateRun(entry, self._settings)
        self._guard.at(late.look_at_s, lambda: self._look_at(late))
        for waiting in self._waiting():
            self._end(waiting, late.skipped())

    def _look_at(self, late: LateRun) -> None:
        """See whether a late query may go on."""
        with self._lock:
            if self._late is not late:
                return
            miss = late.end(self._clock())
            if miss is None:
                self._guard.at(late.look_at_s, lambda: self._look_at(late))
                return
            self._end(late.entry, miss)
            if miss.reason is MissReason.ENGINE_FAULT:
                self._slot.kill(miss.detail)

    def _end_all(self, outcome: Miss) -> None:
        for entry in self._pending.all():
            self._end(entry, outcome)

    def _waiting(self) -> list[PendingQuery]:
        return self._pending.queue.in_order(self._settings.queue_order)

    def _end(self, entry: PendingQuery, outcome: Outcome) -> None:
        """The one place where a query ends."""
        self._pending.remove(entry)
        if self._late is not None and self._late.entry is entry:
            self._late = None
        self._writer.end(entry, outcome)
        self._slot.drop(entry, self._settings.abort_grace_s)
