"""A worker client without a process whose worker answers by itself, by the form that is asked."""

import queue
import threading
from typing import Any

from support.fake_worker_client import FakeWorkerClient
from timebill_ros.core.bill import Bill
from timebill_ros.core.constraint import Closing, Constraint, ConstraintKind
from timebill_ros.core.outcome import FinishReason
from timebill_ros.worker.progress import (
    Finished,
    Planned,
    Progress,
    Rejected,
    Text,
    Tokenised,
)
from timebill_ros.worker.protocol import (
    Drop,
    Load,
    Run,
    Submit,
)
from timebill_ros.worker.worker_listener import WorkerListener

BEGUN = '{"room": "hall", "story": "Ä'
CLOSING = Closing(len(BEGUN), '", "metres": 0}', ('/metres',), ('/metres',))
SURE = (0.25, 0.75)


class ScriptedWorkerClient(FakeWorkerClient):
    """Takes the place of WorkerClient.

    Free text and the second choice come at once. A document is begun, and never goes on: its
    worker hangs until it is told to drop it. A constraint with 'nonsense' in it is rejected.
    """

    def __init__(self, load: Load, listener: WorkerListener) -> None:
        super().__init__(load, listener)
        self._constraints: dict[int, Constraint | None] = {}
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._hangs_at: int | None = None
        threading.Thread(target=self._work, daemon=True).start()

    def send(self, message: Any) -> None:
        super().send(message)
        self._inbox.put(message)

    def stop(self) -> None:
        super().stop()
        self._inbox.put(None)

    def _work(self) -> None:
        while (message := self._inbox.get()) is not None:
            for progress in self._answers(message):
                self.listener.on_worker_progress(progress)

    def _answers(self, message: Any) -> list[Progress]:
        number = message.number
        if isinstance(message, Submit):
            constraint = self._constraints[number] = message.constraint
            if constraint is not None and 'nonsense' in constraint.text:
                return [Rejected(number, "constraint: unknown type 'nonsense' at /type")]
            return [Tokenised(number, 12)]
        if isinstance(message, Drop):
            return [Finished(number, None, Bill())] if self._hangs_at == number else []
        assert isinstance(message, Run)
        constraint = self._constraints[number]
        planned = Planned(number, Bill(prompt_tokens=12, kept_tokens=12))
        if constraint is None:
            text = Text(number, 'Yes.', 2)
            return [planned, text, Finished(number, FinishReason.EOS, Bill(response_tokens=2))]
        if constraint.kind is ConstraintKind.CHOICES:
            return [planned, Finished(number, FinishReason.EOS, Bill(), 1, SURE, 0.5)]
        self._hangs_at = number
        return [planned, Text(number, BEGUN, 3, closing=CLOSING)]
