"""The queries that wait for their turn: first in first out or by deadline."""

from timebill_ros.dispatch.dispatch_settings import QueueOrder
from timebill_ros.dispatch.pending_query import PendingQuery


class QueryQueue:
    """A queue from which any query can be taken out.

    Its order, like its bound, is a setting that may change while queries wait.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, PendingQuery] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, number: int) -> bool:
        return number in self._waiting

    def add(self, entry: PendingQuery) -> None:
        """Put a query in."""
        self._waiting[entry.number] = entry

    def in_order(self, order: QueueOrder) -> list[PendingQuery]:
        """Return the queries in the order of their turns; among equal deadlines, as they came."""
        entries = list(self._waiting.values())
        if order == 'edf':
            entries.sort(key=lambda entry: entry.last_moment_s)
        return entries

    def remove(self, number: int) -> None:
        """Take a query out, wherever it stands; nothing happens if it does not wait."""
        self._waiting.pop(number, None)
