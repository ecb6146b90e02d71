"""The parameter keep_latest: an asker's new query takes the place of its older ones."""

from collections.abc import Iterable

from timebill_ros.dispatch.pending_query import PendingQuery


class KeepLatest:
    """Chooses which older queries are withdrawn. Used under the dispatcher's lock.

    A running query is withdrawn too, but once only until the asker has no query left. An asker
    that asks faster than answers come would never get one, and at each answer it would lose what
    the next one has cost. Its newest query waits then, and is next.
    """

    def __init__(self) -> None:
        self._hasty: set[str] = set()
        """Askers with queries left, of which a running one has been withdrawn."""

    def replaced(
        self, newcomer: PendingQuery, of_asker: Iterable[PendingQuery]
    ) -> list[PendingQuery]:
        """Return the older queries that a newcomer replaces if it is accepted.

        Arguments:
            newcomer: the query that has come.
            of_asker: all queries of its asker that have not ended.
        """
        spares_running = newcomer.query.key.asker in self._hasty
        return [
            entry
            for entry in of_asker
            if entry.number < newcomer.number and (entry.is_waiting or not spares_running)
        ]

    def accepted(self, newcomer: PendingQuery, replaced: Iterable[PendingQuery]) -> None:
        """Learn that a newcomer has been accepted in the place of others."""
        if any(not entry.is_waiting for entry in replaced):
            self._hasty.add(newcomer.query.key.asker)

    def none_left(self, asker: str) -> None:
        """Learn that all queries of an asker have ended, however they did."""
        self._hasty.discard(asker)
