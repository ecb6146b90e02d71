"""The parameter keep_latest: an asker's new query takes the place of its older ones."""

from collections.abc import Iterable

from timebill_ros.core.outcome import Answer, Outcome
from timebill_ros.dispatch.pending_query import PendingQuery
from timebill_ros.dispatch.response_lengths import ASKERS


class KeepLatest:
    """Chooses which older queries are withdrawn. Used under the dispatcher's lock.

    A running query is withdrawn too, but not twice without an answer between: an asker that asks
    faster than answers come would never get one.
    """

    def __init__(self) -> None:
        self._unanswered: set[str] = set()

    def withdrawn(
        self, newcomer: PendingQuery, of_asker: Iterable[PendingQuery]
    ) -> list[PendingQuery]:
        """Return the older queries that an admitted newcomer replaces.

        Arguments:
            newcomer: the admitted query.
            of_asker: all queries of its asker that have not ended.
        """
        older = [entry for entry in of_asker if entry.number < newcomer.number]
        waiting = [entry for entry in older if entry.is_waiting]
        running = [entry for entry in older if not entry.is_waiting]
        asker = newcomer.query.key.asker
        if asker in self._unanswered:
            return waiting
        if running:
            if len(self._unanswered) >= ASKERS:
                self._unanswered.clear()
            self._unanswered.add(asker)
        return waiting + running

    def ended(self, entry: PendingQuery, outcome: Outcome) -> None:
        """Learn that an asker has had an answer."""
        if isinstance(outcome, Answer):
            self._unanswered.discard(entry.query.key.asker)
