"""Every query's way through the node: admitted, queued, run, and ended exactly once.

One lock covers the bookkeeping and the publishing: so a query has one terminal reply, its chunks
come before it, and nothing comes after it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.deadline import Clock
from timebill_ros.core.outcome import Miss, MissReason
from timebill_ros.core.query import Origin, Query
from timebill_ros.core.remote_policy import RemotePolicy
from timebill_ros.dispatch.backend_slot import BackendSlot
from timebill_ros.dispatch.deadline_guard import DeadlineGuard
from timebill_ros.dispatch.dispatch_settings import DispatchSettings
from timebill_ros.dispatch.endings import Endings
from timebill_ros.dispatch.last_moments import LastMoments
from timebill_ros.dispatch.learned_lengths import LearnedLengths
from timebill_ros.dispatch.own_answers import OwnAnswers
from timebill_ros.dispatch.pending_queries import PendingQueries
from timebill_ros.dispatch.ports import Backend, Replies
from timebill_ros.dispatch.refusals import duplicate, expired, queue_full
from timebill_ros.dispatch.remote_turns import RemoteTurns
from timebill_ros.dispatch.reply_writer import ReplyWriter
from timebill_ros.dispatch.turns import Turns


class Dispatcher:
    """Serves queries with one backend. Methods may be called from any thread, and return at once.

    Queries are served while there is a backend (open, close) and the node is active (resume,
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
        self._clock = clock
        self._why_not_ready = why_not_ready
        self._lock = threading.RLock()
        self._guard = DeadlineGuard(clock)
        self._last_moments = LastMoments(self._guard, self._on_last_moment, clock)
        self._pending = PendingQueries(self._last_moments)
        self._writer = ReplyWriter(replies, clock)
        self._slot = BackendSlot(self._guard, self._lock, clock)
        of_all = (self._pending, self._slot, self._writer, self._guard, self._lock, clock)
        self._endings = Endings(settings, *of_all, lambda: self.remote)
        self.lengths = LearnedLengths()
        of_own = (self._pending, self._slot, self._endings, self.lengths)
        self._turns = Turns(settings, *of_own, clock)
        of_backend = (self._pending, self._turns, self._endings, self._writer, clock)
        self.own = OwnAnswers(*of_backend, self._serving)
        of_remote = (self._pending, self._endings, self._writer, self._guard, clock)
        self.remote = RemoteTurns(self._turns, *of_remote, self._serving)
        self.is_active = False

    def open(self, backend: Backend, context_length: int, planner: BudgetPlanner) -> None:
        """Take a backend that is ready, and idle."""
        with self._lock:
            self._slot.put(backend)
            self._turns.context_length, self._turns.planner = context_length, planner

    def close(self, outcome: Miss | None) -> None:
        """Lose the backend, and end its queries with an outcome; None: it is told later."""
        with self._lock:
            self._slot.put(None)
            if outcome is not None:
                self._endings.end_all_own(outcome)

    def resume(self) -> None:
        """Serve queries, from when there is a backend."""
        with self._lock:
            self.is_active = True

    def pause(self, outcome: Miss) -> None:
        """End all queries with an outcome, and refuse those to come; the backend stays.

        It is told to drop what it runs, and replaced if it does not.
        """
        with self._lock:
            self.is_active = False
            self._endings.end_all(outcome)

    def shut_down(self) -> None:
        """End the guard's thread, after close()."""
        self._guard.close()

    def submit(self, query: Query) -> None:
        """Admit a query, or refuse it."""
        with self._serving():
            miss = self._refusal(query)
            if miss is not None:
                self._writer.refuse(query, miss)
                return
            entry = self._pending.add(query, self._settings)
            if not self.remote.takes(entry):
                self._turns.came(entry)

    def refuse(self, origin: Origin, miss: Miss) -> None:
        """Reply to what was asked and is no valid query."""
        with self._lock:
            self._endings.end_due()
            self._writer.refuse_invalid(origin, miss)

    def cancel(self, asker: str, query_id: str, detail: str) -> int:
        """End a query, or with the id '' all of an asker, as CANCELLED; return how many ended."""
        with self._serving():
            entries = self._pending.of(asker, query_id)
            for entry in entries:
                self._endings.end(entry, Miss(MissReason.CANCELLED, detail))
            return len(entries)

    @contextmanager
    def _serving(self) -> Iterator[None]:
        """Take the lock and end what is due; then start the next query, if that can be.

        Whatever has been done may have brought one to the head of the queue.
        """
        with self._lock:
            self._endings.end_due()
            yield
            self._turns.start_next()

    # What the operator changes, and what there is to see

    def change_settings(self, settings: DispatchSettings) -> None:
        """Take other settings, from the next query on."""
        with self._serving():
            self._settings = self._endings.settings = self._turns.settings = settings

    def change_planner(
        self, planner: BudgetPlanner, longest_prefix: int = 0, room_tokens: int = 0
    ) -> None:
        """Admit and plan by another estimate, other settings, and what its cache can hold."""
        with self._lock:
            self._turns.planner = planner
            self._turns.cache_holds(longest_prefix, room_tokens)

    @property
    def queue_length(self) -> int:
        """Number of queries that wait."""
        with self._lock:
            return len(self._pending.queue)

    @property
    def is_serving(self) -> bool:
        """Whether queries wait for their reply, or the backend still runs one."""
        with self._lock:
            return len(self._pending) > 0 or self._slot.busy_with is not None

    def _refusal(self, query: Query) -> Miss | None:
        """Return why a query is refused at its arrival, for what it is or for want of a place."""
        is_only_remote = query.remote_policy is RemotePolicy.ONLY
        if not (self.is_active and (self._slot.is_open or is_only_remote)):
            return Miss(MissReason.NOT_READY, self._why_not_ready())
        miss = expired(query, self._settings.publish_reserve_s) or duplicate(query, self._pending)
        if miss is not None or is_only_remote:
            return miss
        return self._endings.skipped() or queue_full(query, self._pending, self._settings)

    def _on_last_moment(self) -> None:
        with self._serving():
            self._last_moments.rearm()
