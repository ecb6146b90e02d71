"""The queries that wait for their turn, first in first out, bounded."""

from collections import OrderedDict
from typing import Generic, TypeVar

Item = TypeVar('Item')


class QueryQueue(Generic[Item]):
    """A bounded queue from which any query can be taken out.

    Arguments:
        bound: most queries that may wait.
    """

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._waiting: OrderedDict[int, Item] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether one more would exceed the bound."""
        return len(self._waiting) >= self.bound

    def add(self, number: int, item: Item) -> None:
        """Put a query at the end."""
        self._waiting[number] = item

    def head(self) -> Item | None:
        """Return the query whose turn is next, None if there is none."""
        return next(iter(self._waiting.values()), None)

    def remove(self, number: int) -> None:
        """Take a query out, wherever it stands; nothing happens if it does not wait."""
        self._waiting.pop(number, None)
