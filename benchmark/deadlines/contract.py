"""Checks the replies to a query, and the result of a goal, against the deadline contract."""

from collections import Counter
from collections.abc import Iterable

from benchmark.deadlines.asker import Record, Reply


def violations(record: Record, may_be_late: bool = False) -> list[str]:
    """Return how the contract was broken for a query; [] if it was kept.

    One terminal reply and no other; stamped, written and received before the deadline (EXPIRED is
    exempt); chunks from number 0 on without a gap, as many as the reply says, all written before
    it. An answer says that it is late if and only if it is stamped late, which only SKIP_NEXT
    allows. A goal has one result, with the outcome of the reply and the status that goes with it,
    received before the deadline too.

    Arguments:
        may_be_late: the query's overrun policy is SKIP_NEXT.
    """
    if not record.replies:
        return ['missing']
    reply = record.replies[0]
    found = ['duplicate'] if len(record.replies) > 1 else []
    is_late_answer = reply.outcome == 'ANSWERED' and not reply.deadline_met
    if is_late_answer and not may_be_late:
        found.append('late under KILL or PARTIAL')
    if is_late_answer and reply.stamp_ns < record.deadline_ns - _RESERVE_NS:
        found.append('said to be late, but in time')
    if not is_late_answer and reply.outcome != 'EXPIRED':
        found.extend(_lateness(record, reply))
    if reply.chunk_count != record.chunks or not record.chunks_rise:
        found.append('chunks')
    if reply.source_ns and record.last_chunk_ns > reply.source_ns:
        found.append('chunk after the reply')
    return found + (_of_goal(record, reply) if record.as_goal else [])


def count_violations(found: Iterable[list[str]]) -> dict[str, int]:
    """Return how often the contract was broken in each way."""
    return dict(Counter(kind for kinds in found for kind in kinds))


_ABORTED = 6
_STATUSES = {'ANSWERED': (4,), 'CANCELLED': (5, _ABORTED)}
"""SUCCEEDED; CANCELED. A lifecycle transition aborts."""
_RESERVE_NS = 20_000_000
"""publish_reserve: what ends in it counts as late."""


def is_result_late(record: Record) -> bool:
    """Return whether a goal's result came after the deadline; EXPIRED is exempt."""
    return any(
        result.received_ns > record.deadline_ns and result.outcome != 'EXPIRED'
        for result in record.results
    )


def _of_goal(record: Record, reply: Reply) -> list[str]:
    if len(record.results) != 1:
        return [f'{len(record.results)} results']
    (result,), found = record.results, []
    if result.outcome != reply.outcome:
        found.append('another result than the reply')
    if result.status not in _STATUSES.get(result.outcome, (_ABORTED,)):
        found.append('status')
    if is_result_late(record) and (reply.outcome != 'ANSWERED' or reply.deadline_met):
        found.append('late result')
    return found


def _lateness(record: Record, reply: Reply) -> list[str]:
    if max(reply.stamp_ns, reply.source_ns) > record.deadline_ns:
        return ['published late']
    return ['received late'] if reply.received_ns > record.deadline_ns else []
