"""What the dispatcher needs of others: a backend, and somewhere for replies to go."""

from typing import Protocol

from timebill_ros.core.asker_lengths import AskerLengths
from timebill_ros.core.bill import Bill
from timebill_ros.core.outcome import Outcome
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.core.query import Origin, Query


class Backend(Protocol):
    """What answers queries, one at a time. Its methods never wait.

    It tells the dispatcher what becomes of a query, by on_tokenised, on_rejected, on_planned,
    on_text, on_finished and on_faulted: from threads of its own, with the number that the query
    was submitted by.
    """

    def submit(self, number: int, query: Query) -> None:
        """Tokenise a query, compile its constraint, and hold it."""

    def run(
        self,
        number: int,
        *,
        max_new_tokens: int,
        last_moment_s: float,
        stop_at_s: float,
        planner: PlannerSettings,
        lengths: AskerLengths | None,
    ) -> None:
        """Answer a query that has been tokenised.

        Arguments:
            last_moment_s: what the plan must fit into, on the monotonic clock [s].
            stop_at_s: when the backend ends the query by itself, on the same clock [s].
            lengths: what was learned of such answers; None: nothing.
        """

    def drop(self, number: int) -> None:
        """Stop a query, or forget it. Only one that runs is answered, by on_finished."""

    def kill(self, detail: str) -> None:
        """End a backend that does not answer; it is replaced."""


class RemoteEngine(Protocol):
    """What answers queries on another machine, many at a time. Its methods never wait.

    It tells RemoteTurns what becomes of a query, by on_text, on_finished and on_faulted, from
    threads of its own.
    """

    def ask(self, number: int, query: Query, max_new_tokens: int, until_s: float) -> bool:
        """Have a query answered; return False if that cannot be now.

        Arguments:
            until_s: when the query ends at the latest, on the monotonic clock [s].
        """

    def abort(self, number: int) -> None:
        """Stop a query; nothing happens if it has ended. It is not answered."""


class Replies(Protocol):
    """Where replies go. Called with the dispatcher's lock held, so in order."""

    def publish_chunk(self, origin: Origin, sequence: int, text: str, bill: Bill) -> None:
        """Publish a piece of an answer; the bill is what it has cost until now."""

    def publish_outcome(
        self, origin: Origin, outcome: Outcome, bill: Bill, chunk_count: int
    ) -> None:
        """Publish the terminal reply."""
