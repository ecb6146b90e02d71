"""The queries that wait for their turn: first in first out or by deadline, bounded."""

from timebill_ros.node.dispatch_settings import QueueOrder
from timebill_ros.node.pending_query import PendingQuery


class QueryQueue:
    """A bounded queue from which any query can be taken out.

    Arguments:
        bound: most queries that may wait.
        order: whose turn is next; both may change at any time.
    """

    def __init__(self, bound: int, order: QueueOrder) -> None:
        self.bound = bound
        self.order = order
        self._waiting: dict[int, PendingQuery] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether one more would exceed the bound."""
        return len(self._waiting) >= self.bound

    def add(self, entry: PendingQuery) -> None:
        """Put a query in."""
        self._waiting[entry.number] = entry

    def in_order(self) -> list[PendingQuery]:
        """Return the queries in the order of their turns; among equal deadlines, as they came."""
        entries = list(self._waiting.values())
        if self.order == 'edf':
            entries.sort(key=lambda entry: entry.query.deadline.at_s)
        return entries

    def remove(self, number: int) -> None:
        """Take a query out, wherever it stands; nothing happens if it does not wait."""
        self._waiting.pop(number, None)
