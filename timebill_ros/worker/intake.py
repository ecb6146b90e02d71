"""What the worker has been told and has not done yet, and the queries that it holds."""

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from timebill_ros.worker.protocol import (
    Drop,
    Faulted,
    FromWorker,
    Recalibrate,
    Run,
    Submit,
    Tokenised,
    ToWorker,
)


@dataclass
class HeldQuery:
    """A query from its submission to its end. Changed under the intake's lock only.

    Arguments:
        token_ids: the prompt with the chat template applied; empty until it is tokenised.
        abort: set to end its generation.
    """

    prompt: str
    system_prompt: str
    token_ids: list[int] = field(default_factory=list)
    is_running: bool = False
    abort: threading.Event = field(default_factory=threading.Event)


class Intake:
    """Three threads meet here: one reads the connection, one tokenises, one owns the model.

    A Drop acts on the thread that reads the connection, so it never waits for a tokeniser.

    Arguments:
        send: takes messages for the node.
    """

    def __init__(self, send: Callable[[FromWorker], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._held: dict[int, HeldQuery] = {}
        self._to_tokenise: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._work: queue.SimpleQueue[Run | Recalibrate] = queue.SimpleQueue()

    # The thread that reads the connection

    def take(self, message: ToWorker) -> None:
        """Take a message of the node; never waits."""
        if isinstance(message, Submit):
            with self._lock:
                self._held[message.number] = HeldQuery(message.prompt, message.system_prompt)
            self._to_tokenise.put(message.number)
        elif isinstance(message, Drop):
            self._drop(message.number)
        elif isinstance(message, Run | Recalibrate):
            self._work.put(message)

    def _drop(self, number: int) -> None:
        with self._lock:
            query = self._held.get(number)
            if query is not None and query.is_running:
                query.abort.set()
            else:
                self._held.pop(number, None)

    # The thread that tokenises

    def start_tokenising(self, token_ids: Callable[[str, str], list[int]]) -> None:
        """Tokenise what is submitted, from now on, on a thread of its own.

        Arguments:
            token_ids: makes token ids of a prompt and a system prompt.
        """
        threading.Thread(target=self._tokenise_all, args=(token_ids,), daemon=True).start()

    def _tokenise_all(self, token_ids: Callable[[str, str], list[int]]) -> None:
        while True:
            number = self._to_tokenise.get()
            with self._lock:
                query = self._held.get(number)
            if query is not None:  # else it has been dropped
                self._tokenise(number, query, token_ids)

    def _tokenise(
        self, number: int, query: HeldQuery, token_ids: Callable[[str, str], list[int]]
    ) -> None:
        try:
            ids = token_ids(query.prompt, query.system_prompt)
        except Exception as error:
            # Whatever it is belongs to this query; the next ones are served.
            logging.exception('tokenising failed')
            self.end(number)
            self._send(Faulted(number, f'the prompt could not be tokenised: {error}'))
            return
        with self._lock:
            query.token_ids = ids
            is_held = number in self._held
        if is_held:
            self._send(Tokenised(number, len(ids)))

    # The thread that owns the model

    def next_work(self) -> Run | Recalibrate:
        """Wait for what is to be done next."""
        return self._work.get()

    def begin(self, number: int) -> HeldQuery | None:
        """Return a query that runs from now on; None: it has been dropped."""
        with self._lock:
            query = self._held.get(number)
            if query is not None:
                query.is_running = True
            return query

    def end(self, number: int) -> None:
        """Forget a query; nothing happens if it is not held."""
        with self._lock:
            self._held.pop(number, None)
