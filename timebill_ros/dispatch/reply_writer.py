"""What is published of a query: its chunks while it is written, then its one terminal reply."""

from dataclasses import replace

from timebill_ros.core.bill import Bill
from timebill_ros.core.deadline import Clock
from timebill_ros.core.outcome import Answer, Miss, Outcome
from timebill_ros.core.query import Query
from timebill_ros.dispatch.pending_query import PendingQuery
from timebill_ros.dispatch.ports import Replies


class ReplyWriter:
    """Chunks end at whole words: all chunks of an answer joined are its text, also when cut off.

    Arguments:
        replies: takes what is to be published.
        clock: monotonic seconds.
    """

    def __init__(self, replies: Replies, clock: Clock) -> None:
        self._replies = replies
        self._clock = clock

    def chunk(self, entry: PendingQuery, period_s: float) -> None:
        """Publish the words that have become whole, unless the last chunk was just before.

        Arguments:
            period_s: least time between chunks [s].
        """
        if self._clock() >= entry.chunk_at_s + period_s:
            self._publish_chunk(entry, entry.text.whole_words)

    def end(self, entry: PendingQuery, outcome: Outcome) -> None:
        """Publish the terminal reply; before it, what of an answer is in no chunk yet."""
        if isinstance(outcome, Answer):
            self._publish_chunk(entry, outcome.text)
        self._publish(entry.query, outcome, entry.measured_bill(self._clock()), entry.chunk_count)

    def refuse(self, query: Query, miss: Miss) -> None:
        """Publish the terminal reply of a query that is not admitted."""
        self._publish(query, miss, Bill(), chunk_count=0)

    def _publish_chunk(self, entry: PendingQuery, text: str) -> None:
        piece = entry.text.take(text)
        if piece:
            self._replies.publish_chunk(entry.query.origin, entry.chunk_count, piece)
            entry.chunk_count += 1
            entry.chunk_at_s = self._clock()

    def _publish(self, query: Query, outcome: Outcome, bill: Bill, chunk_count: int) -> None:
        bill = replace(bill, time_budget=query.time_budget_s, slack=query.deadline.remaining_s())
        self._replies.publish_outcome(query.origin, outcome, bill, chunk_count)
