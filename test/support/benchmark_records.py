"""Records of queries and replies, as an asker would have them; times in ms."""

from typing import Any

from benchmark.deadlines.asker import Record, Reply

MS = 10**6


def reply(outcome: str, stamp_ms: float, received_ms: float | None = None, **more: Any) -> Reply:
    """Return a reply that is stamped and written at the same moment; an answer is in time."""
    stamp_ns = int(stamp_ms * MS)
    received_ns = stamp_ns if received_ms is None else int(received_ms * MS)
    if outcome == 'ANSWERED':
        more = {'deadline_met': True, 'finish_reason': 1, **more}
    return Reply(outcome, stamp_ns, stamp_ns, received_ns, received_ns, **more)


def record(*replies: Reply, id: str = 'id', deadline_ms: float = 1000, **more: Any) -> Record:
    """Return a query that is sent at 0."""
    return Record(id, 'any', 1, 0, int(deadline_ms * MS), list(replies), **more)
