"""What the worker has been told and has not done yet, and the queries that it holds."""

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from timebill_ros.core.bill import Bill
from timebill_ros.core.constraint import Constraint, InvalidConstraintError
from timebill_ros.core.turn import HistoryError, Turn
from timebill_ros.worker.held_query import HeldQuery
from timebill_ros.worker.preparation import Preparation
from timebill_ros.worker.progress import (
    Cached,
    Faulted,
    Finished,
    Rejected,
    Tokenised,
)
from timebill_ros.worker.protocol import (
    Drop,
    FromWorker,
    Prepare,
    Prepared,
    Recalibrate,
    Run,
    Submit,
    ToWorker,
)

if TYPE_CHECKING:  # it loads torch, which the process does only once it listens
    from timebill_ros.inference.constraint.compiler import Form

Tokeniser = Callable[[str, str, str, tuple[Turn, ...]], list[int]]
"""Makes token ids of a prompt, a system prompt, a context and a history."""
Compiler = Callable[[Constraint, int], 'Form']
"""Compiles the constraint of a query with so many prompt tokens."""


class Pins(Protocol):
    """Promises what is cached of prompts; see PrefixCache."""

    def pin(self, holder: int, token_ids: list[int]) -> int:
        """Promise what is cached of a prompt; return how many tokens."""

    def unpin(self, holder: int) -> None:
        """Take the promise back."""


class Intake:
    """Three threads meet here: one reads the connection, one tokenises, one owns the model.

    A Drop acts on the thread that reads the connection, so it never waits for a tokeniser.

    Arguments:
        send: takes messages for the node.
    """

    def __init__(self, send: Callable[[FromWorker], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._held: dict[int, HeldQuery] = {}
        self._to_tokenise: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._work: deque[Run | Recalibrate] = deque()
        self._preparations: dict[str, Preparation] = {}
        self._pins: Pins | None = None

    # The thread that reads the connection

    def take(self, message: ToWorker) -> None:
        """Take a message of the node; never waits."""
        if isinstance(message, Submit):
            with self._lock:
                self._interrupt_preparations()
                self._held[message.number] = HeldQuery(
                    message.prompt,
                    message.system_prompt,
                    message.context,
                    message.history,
                    message.constraint,
                )
            self._to_tokenise.put(message.number)
        elif isinstance(message, Drop):
            self._drop(message.number)
        elif isinstance(message, Prepare):
            self._take_preparation(message)
        elif isinstance(message, Run | Recalibrate):
            with self._lock:
                if isinstance(message, Run) and message.number in self._held:
                    self._held[message.number].is_next = True
                self._interrupt_preparations()
                self._work.append(message)
                self._changed.notify()

    def _take_preparation(self, message: Prepare) -> None:
        with self._lock:
            older = self._preparations.pop(message.holder, None)
            self._preparations[message.holder] = Preparation(message)
            self._changed.notify()
        if older is not None:
            older.abort.set()
            self._send(Prepared(older.message.number, 'another one has taken its place'))

    def _drop(self, number: int) -> None:
        with self._lock:
            query = self._held.get(number)
            if query is not None and query.is_running:
                query.abort.set()
                return
            self._forget(number)
        if query is not None and query.is_next:
            # Its turn has not come yet: what it is to preempt may be within a long chunk.
            self._send(Finished(number, None, Bill()))

    # The thread that tokenises

    def start_tokenising(
        self, token_ids: Tokeniser, compiled: Compiler, pins: Pins | None = None
    ) -> None:
        """Tokenise what is submitted, from now on, on a thread of its own.

        Arguments:
            token_ids: makes the token ids of queries.
            compiled: compiles their constraints.
            pins: promises what is cached of them; None: nothing is.
        """
        self._pins = pins
        threading.Thread(
            target=self._tokenise_all, args=(token_ids, compiled), daemon=True
        ).start()

    def _tokenise_all(self, token_ids: Tokeniser, compiled: Compiler) -> None:
        while True:
            number = self._to_tokenise.get()
            with self._lock:
                query = self._held.get(number)
            if query is not None:  # else it has been dropped
                self._tokenise(number, query, token_ids, compiled)

    def _tokenise(
        self, number: int, query: HeldQuery, token_ids: Tokeniser, compiled: Compiler
    ) -> None:
        try:
            ids = token_ids(query.prompt, query.system_prompt, query.context, query.history)
            constraint = query.constraint
            form = compiled(constraint, len(ids)) if constraint is not None else None
        except (HistoryError, InvalidConstraintError) as error:
            self.end(number)
            self._send(Rejected(number, str(error)))
            return
        except Exception as error:
            # Whatever it is belongs to this query; the next ones are served.
            logging.exception('tokenising failed')
            self.end(number)
            self._send(Faulted(number, f'the prompt could not be tokenised: {error}'))
            return
        with self._lock:
            query.token_ids, query.form = ids, form
            if number in self._held:
                query.cached_tokens = self._pinned(number, query)
                # Under the lock: what Cached says of the same query comes later.
                longest = form.max_tokens if form is not None else 0
                self._send(Tokenised(number, len(ids), longest, query.cached_tokens))

    # The thread that owns the model

    def next_work(self) -> Run | Recalibrate | Preparation:
        """Wait for what is to be done next; contexts are prepared while no query is held."""
        with self._lock:
            while True:
                if self._work:
                    return self._work.popleft()
                if self._preparations and not self._held:
                    preparation = next(iter(self._preparations.values()))
                    preparation.abort.clear()
                    return preparation
                self._changed.wait()

    def is_prepared(self, preparation: Preparation) -> bool:
        """Forget a preparation that has ended; return whether it was still wanted."""
        with self._lock:
            holder = preparation.message.holder
            if self._preparations.get(holder) is not preparation:
                return False
            del self._preparations[holder]
            return True

    def urgent_work(self) -> Run | None:
        """Return what is to be done before the query that runs; None: nothing."""
        with self._lock:
            if self._work and isinstance(self._work[0], Run):
                work = self._work.popleft()
                assert isinstance(work, Run)
                return work
            return None

    def begin(self, number: int) -> HeldQuery | None:
        """Return a query that runs from now on; None: it has been dropped."""
        with self._lock:
            query = self._held.get(number)
            if query is not None:
                query.is_running = True
            return query

    def has_read(self, number: int) -> None:
        """Take back what was promised to a query; it has been read."""
        with self._lock:
            if self._pins is not None:
                self._pins.unpin(number)

    def promise_again(self) -> None:
        """Tell the node of waiting queries of which more or less is cached now."""
        with self._lock:
            for number, query in self._held.items():
                if query.is_running or not query.token_ids:
                    continue
                before, query.cached_tokens = query.cached_tokens, self._pinned(number, query)
                if query.cached_tokens != before:
                    self._send(Cached(number, query.cached_tokens))

    def end(self, number: int) -> None:
        """Forget a query; nothing happens if it is not held."""
        with self._lock:
            self._forget(number)

    # With the lock held

    def _pinned(self, number: int, query: HeldQuery) -> int:
        return self._pins.pin(number, query.token_ids) if self._pins is not None else 0

    def _interrupt_preparations(self) -> None:
        for preparation in self._preparations.values():
            preparation.abort.set()

    def _forget(self, number: int) -> None:
        self._held.pop(number, None)
        self._changed.notify()
        if self._pins is not None:
            self._pins.unpin(number)
