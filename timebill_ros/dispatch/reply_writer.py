"""What is published of a query: its chunks while it is written, then its one terminal reply."""

from dataclasses import replace

from timebill_ros.core.bill import Bill
from timebill_ros.core.deadline import Clock
from timebill_ros.core.outcome import Answer, Miss, Outcome
from timebill_ros.core.query import Origin, Query
from timebill_ros.dispatch.pending_query import PendingQuery
from timebill_ros.dispatch.ports import Replies
from timebill_ros.dispatch.query_bill import QueryBill


class ReplyWriter:
    """Chunks end where an answer may be cut off: all of them joined are its text, in any case.

    Arguments:
        replies: takes what is to be published.
        clock: monotonic seconds.
    """

    def __init__(self, replies: Replies, clock: Clock) -> None:
        self._replies = replies
        self._clock = clock

    def chunk(self, entry: PendingQuery, period_s: float) -> None:
        """Publish the text that has become settled, unless the last chunk was just before.

        Arguments:
            period_s: least time between chunks [s].
        """
        if self._clock() >= entry.chunk_at_s + period_s:
            self._publish_chunk(entry, entry.text.settled)

    def end(self, entry: PendingQuery, outcome: Outcome) -> None:
        """Publish the terminal reply; before it, what of an answer is in no chunk yet."""
        if isinstance(outcome, Answer):
            self._publish_chunk(entry, outcome.text)
        if entry.is_remote:
            outcome = replace(outcome, backend='remote')
        bill = entry.bill.at_reply(self._clock())
        self._replies.publish_outcome(entry.query.origin, outcome, bill, entry.chunk_count)

    def refuse(self, query: Query, miss: Miss) -> None:
        """Publish the terminal reply of a query that is not admitted."""
        bill = QueryBill(query).at_refusal(self._clock())
        self._replies.publish_outcome(query.origin, miss, bill, chunk_count=0)

    def refuse_invalid(self, origin: Origin, miss: Miss) -> None:
        """Publish the terminal reply to what is no valid query, and so has nothing on its bill."""
        self._replies.publish_outcome(origin, miss, Bill(), chunk_count=0)

    def _publish_chunk(self, entry: PendingQuery, text: str) -> None:
        piece = entry.text.take(text)
        if piece:
            now_s, origin = self._clock(), entry.query.origin
            bill = entry.bill.at_reply(now_s)
            self._replies.publish_chunk(origin, entry.chunk_count, piece, bill)
            entry.chunk_count += 1
            entry.chunk_at_s = now_s
