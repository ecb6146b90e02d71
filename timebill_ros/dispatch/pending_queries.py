"""The queries that have not been replied to: by number, by identity, by turn."""

from collections.abc import Iterator

from timebill_ros.core.query import Query, QueryKey
from timebill_ros.dispatch.dispatch_settings import DispatchSettings
from timebill_ros.dispatch.last_moments import LastMoments
from timebill_ros.dispatch.pending_query import PendingQuery
from timebill_ros.dispatch.query_queue import QueryQueue


class PendingQueries:
    """At most one runs, the others wait. Used under the dispatcher's lock.

    Arguments:
        last_moments: watches each of them.
    """

    def __init__(self, last_moments: LastMoments) -> None:
        self._last_moments = last_moments
        self._entries: dict[int, PendingQuery] = {}
        self._of_asker: dict[str, dict[str, PendingQuery]] = {}
        self._next_number = 0
        self.queue = QueryQueue()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: QueryKey) -> bool:
        return key.id in self._of_asker.get(key.asker, ())

    def add(self, query: Query, settings: DispatchSettings) -> PendingQuery:
        """Let a query wait."""
        number, self._next_number = self._next_number, self._next_number + 1
        entry = PendingQuery.of(query, number, settings)
        self._entries[number] = entry
        self._of_asker.setdefault(query.key.asker, {})[query.key.id] = entry
        self.queue.add(entry)
        self._last_moments.add(number, entry.last_moment_s)
        return entry

    def remove(self, entry: PendingQuery) -> None:
        """Take a query out that has been replied to."""
        del self._entries[entry.number]
        key = entry.query.key
        del self._of_asker[key.asker][key.id]
        if not self._of_asker[key.asker]:
            del self._of_asker[key.asker]
        self.queue.remove(entry.number)
        self._last_moments.remove(entry.number)

    def get(self, number: int | None) -> PendingQuery | None:
        """Return a query; None if there is none of this number, as when it has ended."""
        return None if number is None else self._entries.get(number)

    def of(self, asker: str, query_id: str) -> list[PendingQuery]:
        """Return an asker's query, or all of them, as they came, for the id ''."""
        own = self._of_asker.get(asker, {})
        if query_id == '':
            return list(own.values())
        return [own[query_id]] if query_id in own else []

    def all(self) -> list[PendingQuery]:
        """Return all queries, as they came."""
        return list(self._entries.values())

    def due(self) -> Iterator[PendingQuery]:
        """Yield the queries that have come to their last moment, once each, in its order."""
        for number in self._last_moments.due():
            yield self._entries[number]
