"""Every query's way through the node: admitted, queued, run, and ended exactly once.

One lock covers the bookkeeping and the publishing: so a query has one terminal reply, its chunks
    come before it,
and nothing comes after it. Knows neither ROS nor torch.
"""

import heapq
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.deadline import Clock
from timebill_ros.core.outcome import Answer, FinishReason, Miss, MissReason, Outcome
from timebill_ros.core.query import Origin, Query, QueryKey
from timebill_ros.node.deadline_guard import DeadlineGuard
from timebill_ros.node.pending_query import PendingQuery
from timebill_ros.node.query_queue import QueryQueue
from timebill_ros.worker.protocol import (
    Drop,
    Faulted,
    Finished,
    Planned,
    Run,
    Submit,
    Text,
    Tokenised,
)


class Worker(Protocol):
    """The worker process, as the dispatcher needs it."""

    def send(self, message: Any) -> None:
        """Send a message; never waits."""

    def kill(self, detail: str) -> None:
        """End a worker that does not answer; it is replaced."""


class Replies(Protocol):
    """Where replies go. Called with the dispatcher's lock held, so in order."""

    def publish_chunk(self, origin: Origin, sequence: int, text: str) -> None:
        """Publish a piece of an answer."""

    def publish_outcome(
        self, origin: Origin, outcome: Outcome, bill: Bill, chunk_count: int
    ) -> None:
        """Publish the terminal reply."""


@dataclass(frozen=True)
class DispatchSettings:
    """The node's parameters of these names; times in seconds."""

    max_queue_length: int
    publish_reserve_s: float
    chunk_period_s: float
    abort_grace_s: float


class Dispatcher:
    """Serves queries with one worker. Methods may be called from any thread, and return at once.

    Arguments:
        settings: bounds and periods.
        replies: takes what is to be published.
        clock: monotonic seconds, that of the queries' deadlines.
    """

    def __init__(self, settings: DispatchSettings, replies: Replies, clock: Clock) -> None:
        self._settings = settings
        self._replies = replies
        self._clock = clock
        self._lock = threading.RLock()
        self._guard = DeadlineGuard(clock)
        self._entries: dict[int, PendingQuery] = {}
        self._numbers: dict[QueryKey, int] = {}
        self._queue: QueryQueue[PendingQuery] = QueryQueue(settings.max_queue_length)
        self._last_moments: list[tuple[float, int]] = []  # a heap; ended queries stay in it
        self._next_number = 0
        self._busy_with: int | None = None  # what the worker runs, also when its query has ended
        self._worker: Worker | None = None
        self._context_length = 0
        self._planner = BudgetPlanner()
        self._refusal: Callable[[], str] = lambda: 'the node is not configured'

    def open(self, worker: Worker, context_length: int, planner: BudgetPlanner) -> None:
        """Serve queries from now on with a worker that is ready."""
        with self._lock:
            self._worker, self._context_length, self._busy_with = worker, context_length, None
            self._planner = planner

    def close(self, outcome: Miss, refusal: Callable[[], str]) -> None:
        """End all queries with an outcome; refuse those to come as NOT_READY with a sentence."""
        with self._lock:
            self._worker, self._refusal, self._busy_with = None, refusal, None
            for number in list(self._entries):
                self._end(number, outcome)

    def shut_down(self) -> None:
        """End the guard's thread, after close()."""
        self._guard.close()

    def submit(self, query: Query) -> None:
        """Admit a query, or refuse it."""
        with self._lock:
            self._end_due()
            miss = self._admission_miss(query)
            if miss is not None:
                self.refuse(query.origin, miss, self._bill(query, Bill()))
                return
            assert self._worker is not None
            number, self._next_number = self._next_number, self._next_number + 1
            entry = PendingQuery(query, number)
            self._entries[number] = entry
            self._numbers[query.key] = number
            self._queue.add(number, entry)
            self._worker.send(Submit(number, query.prompt, query.system_prompt))
            last_moment_s = self._last_moment_s(query)
            heapq.heappush(self._last_moments, (last_moment_s, number))
            self._guard.at(last_moment_s, self._on_last_moment)

    def refuse(self, origin: Origin, miss: Miss, bill: Bill) -> None:
        """Reply to a query that is not admitted."""
        with self._lock:
            self._end_due()
            self._replies.publish_outcome(origin, miss, bill, chunk_count=0)

    def on_worker_message(self, message: Any) -> None:
        """Take what the worker says of a query; of one that has ended, that the worker is free."""
        with self._lock:
            if self._worker is None:
                return
            self._end_due()
            entry = self._entries.get(message.number)
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

    def cancel_all(self, detail: str) -> None:
        """End all queries as CANCELLED; the worker is told to drop them."""
        with self._lock:
            for number in list(self._entries):
                self._end(number, Miss(MissReason.CANCELLED, detail))

    def change_settings(self, settings: DispatchSettings) -> None:
        """Take other settings, from the next query on."""
        with self._lock:
            self._settings = settings
            self._queue.bound = settings.max_queue_length

    def change_planner(self, planner: BudgetPlanner) -> None:
        """Admit and plan by another estimate or other settings, from the next query on."""
        with self._lock:
            self._planner = planner

    @property
    def queue_length(self) -> int:
        """Number of queries that wait."""
        with self._lock:
            return len(self._queue)

    @property
    def is_serving(self) -> bool:
        """Whether queries wait for their reply, or the worker still runs one."""
        with self._lock:
            return bool(self._entries) or self._busy_with is not None

    def _admission_miss(self, query: Query) -> Miss | None:
        if self._worker is None:
            return Miss(MissReason.NOT_READY, self._refusal())
        left_s = query.deadline.remaining_s()
        if left_s <= self._settings.publish_reserve_s:
            age_s = query.deadline.clock() - query.asked_at_s
            return Miss(
                MissReason.EXPIRED,
                f'{left_s:.3f} s were left at arrival, {age_s:.3f} s after the stamp; '
                f'publish_reserve is {self._settings.publish_reserve_s:.3f} s. If the asker is on '
                'another machine: are the clocks synchronised, is use_sim_time the same?',
            )
        if query.key in self._numbers:
            return Miss(
                MissReason.DUPLICATE_ID,
                f'id {query.key.id!r} of asker {query.key.asker!r} is still being served',
            )
        if self._queue.is_full:
            return Miss(
                MissReason.QUEUE_FULL,
                f'{len(self._queue)} queries wait, max_queue_length is {self._queue.bound}',
            )
        return None

    def _on_tokenised(self, entry: PendingQuery, prompt_tokens: int) -> None:
        entry.is_tokenised = True
        entry.bill = replace(entry.bill, prompt_tokens=prompt_tokens)
        if prompt_tokens >= self._context_length:
            detail = (
                f'prompt has {prompt_tokens} tokens with the chat template, but the model has a '
                f'context of {self._context_length}, and the response needs at least one'
            )
            self._end(entry.number, Miss(MissReason.INVALID_QUERY, detail))
            return
        self._end_if_infeasible(entry)

    def _end_if_infeasible(self, entry: PendingQuery) -> bool:
        """End a query of which the estimate says that not even its first token can be in time."""
        query, prompt_tokens, now_s = entry.query, entry.bill.prompt_tokens, self._clock()
        left_s = self._last_moment_s(query) - now_s
        if self._planner.is_feasible(prompt_tokens, left_s):
            return False
        plan = self._planner.plan(prompt_tokens, query.max_new_tokens, remaining_s=left_s)
        entry.bill = replace(entry.bill.with_plan(plan), kept_tokens=0, eviction_ratio=0.0)
        overhead_s = now_s - query.asked_at_s + self._settings.publish_reserve_s
        detail = (
            f'reading {prompt_tokens} prompt tokens is estimated to take '
            f'{plan.predicted_prefill_time_s:.3f} s, but {left_s:.3f} s are left of the time '
            f'budget of {query.time_budget_s:.3f} s'
        )
        minimum_s = self._planner.minimum_time_budget_s(prompt_tokens, overhead_s=overhead_s)
        self._end(entry.number, Miss(MissReason.INFEASIBLE, detail, minimum_s))
        return True

    def _on_text(self, entry: PendingQuery, message: Text) -> None:
        entry.bill = replace(entry.bill, response_tokens=message.response_tokens)
        if message.text:
            entry.text.append(message.text)
            entry.unpublished.append(message.text)
        if entry.unpublished and self._clock() >= entry.chunk_at_s + self._settings.chunk_period_s:
            self._publish_chunk(entry)

    def _publish_chunk(self, entry: PendingQuery) -> None:
        self._replies.publish_chunk(
            entry.query.origin, entry.chunk_count, ''.join(entry.unpublished)
        )
        entry.chunk_count += 1
        entry.chunk_at_s = self._clock()
        entry.unpublished.clear()

    def _on_end_of_run(self, message: Finished | Faulted, entry: PendingQuery | None) -> None:
        if self._busy_with == message.number:
            self._busy_with = None
        if entry is None:
            return
        if isinstance(message, Faulted):
            self._end(entry.number, Miss(MissReason.ENGINE_FAULT, message.detail))
            return
        entry.bill = replace(message.bill, queue_time=entry.bill.queue_time)
        if message.finish_reason == 0 or self._clock() >= self._last_moment_s(entry.query):
            self._end(entry.number, entry.killed())  # the guard's call is on its way
        else:
            self._end(
                entry.number, Answer(''.join(entry.text), FinishReason(message.finish_reason))
            )

    def _start_next(self) -> None:
        while self._worker is not None and self._busy_with is None:
            entry = self._queue.head()
            if entry is None or not entry.is_tokenised:
                return
            if not self._end_if_infeasible(entry):
                self._start(entry, self._worker)

    def _start(self, entry: PendingQuery, worker: Worker) -> None:
        self._queue.remove(entry.number)
        self._busy_with = entry.number
        entry.started_at_s = self._clock()
        entry.bill = replace(entry.bill, queue_time=entry.started_at_s - entry.query.asked_at_s)
        worker.send(
            Run(
                entry.number,
                entry.query.max_new_tokens,
                self._last_moment_s(entry.query),
                self._planner.settings,
            )
        )

    def _last_moment_s(self, query: Query) -> float:
        return query.deadline.at_s - self._settings.publish_reserve_s

    def _on_last_moment(self) -> None:
        with self._lock:
            self._end_due()

    def _end_due(self) -> None:
        """End what has come to its last moment; whoever has the lock does so before anything else.

        The guard's thread alone would be late: in a burst of queries, the executor's releases the
        lock and has it again before the guard's gets to run.
        """
        while self._last_moments and self._last_moments[0][0] <= self._clock():
            _, number = heapq.heappop(self._last_moments)
            entry = self._entries.get(number)
            if entry is not None:
                self._end(number, entry.killed())

    def _end(self, number: int, outcome: Outcome) -> None:
        """The one place where a query ends."""
        entry = self._entries.pop(number)
        del self._numbers[entry.query.key]
        self._queue.remove(number)
        if isinstance(outcome, Answer) and entry.unpublished:
            self._publish_chunk(entry)
        self._replies.publish_outcome(
            entry.query.origin,
            outcome,
            self._bill(entry.query, entry.measured_bill(self._clock())),
            entry.chunk_count,
        )
        if self._worker is None:
            return
        if self._busy_with == number or entry.started_at_s is None:
            self._worker.send(Drop(number))
        if self._busy_with == number:
            self._guard.at(
                self._clock() + self._settings.abort_grace_s, lambda: self._on_grace_over(number)
            )

    def _bill(self, query: Query, bill: Bill) -> Bill:
        return replace(bill, time_budget=query.time_budget_s, slack=query.deadline.remaining_s())

    def _on_grace_over(self, number: int) -> None:
        with self._lock:
            if self._worker is not None and self._busy_with == number:
                self._worker.kill(
                    f'it did not stop within abort_grace, {self._settings.abort_grace_s:.1f} s'
                )
