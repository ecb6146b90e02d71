"""What the dispatcher needs of others: a worker, and somewhere for replies to go."""

from typing import Any, Protocol

from timebill_ros.core.bill import Bill
from timebill_ros.core.outcome import Outcome
from timebill_ros.core.query import Origin


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
