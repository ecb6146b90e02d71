"""A query that has not been replied to: what is known of it so far."""

from dataclasses import dataclass, field, replace

from timebill_ros.core.bill import Bill
from timebill_ros.core.outcome import Miss, MissReason
from timebill_ros.core.query import Query


@dataclass
class PendingQuery:
    """The dispatcher's entry of a query. Changed under the dispatcher's lock only.

    Arguments:
        number: the query's number in the worker's protocol.
        is_tokenised: the worker has counted the prompt's tokens.
        text, unpublished: all pieces of the answer so far; those not yet in a chunk.
        chunk_at_s: when the last chunk was published [s].
        started_at_s, planned_at_s: when it was sent to run, and when its prefill ended [s].
    """

    query: Query
    number: int
    is_tokenised: bool = False
    bill: Bill = field(default_factory=Bill)
    text: list[str] = field(default_factory=list)
    unpublished: list[str] = field(default_factory=list)
    chunk_count: int = 0
    chunk_at_s: float = float('-inf')
    started_at_s: float | None = None
    planned_at_s: float | None = None

    def killed(self) -> Miss:
        """Return the miss of a query whose time has run out."""
        if self.started_at_s is None:
            doing = 'waiting for its turn'
        elif self.planned_at_s is None:
            doing = 'reading the prompt'
        else:
            doing = f'writing the response ({self.bill.response_tokens} tokens so far)'
        budget_s = self.query.time_budget_s
        return Miss(
            MissReason.KILLED, f'the time budget of {budget_s:.3f} s ran out while {doing}'
        )

    def measured_bill(self, now_s: float) -> Bill:
        """Return the bill at a query's end; of one that was cut off, as seen from here."""
        if self.started_at_s is None:
            return replace(self.bill, queue_time=now_s - self.query.asked_at_s)
        if self.bill.total_time > 0:  # the worker's own, complete
            return self.bill
        total_s = now_s - self.started_at_s
        if self.planned_at_s is None:
            return replace(self.bill, prefill_time=total_s, total_time=total_s)
        return replace(self.bill, decode_time=now_s - self.planned_at_s, total_time=total_s)
