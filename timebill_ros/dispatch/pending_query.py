"""A query that has not been replied to: what is known of it so far."""

from dataclasses import dataclass, field, replace

from timebill_ros.core.bill import Bill
from timebill_ros.core.outcome import OverrunPolicy
from timebill_ros.core.query import Query
from timebill_ros.dispatch.answer_text import AnswerText
from timebill_ros.dispatch.backlog import Job
from timebill_ros.dispatch.dispatch_settings import DispatchSettings


@dataclass
class PendingQuery:
    """The dispatcher's entry of a query. Changed under the dispatcher's lock only.

    Arguments:
        number: the query's number in the worker's protocol.
        last_moment_s: when it must end, its deadline less the reserve [s].
        stop_at_s: when the worker ends it by itself; later, where it may be late [s].
        max_new_tokens: as asked; once its prompt is tokenised, no more than fits the context.
        is_tokenised: the worker has counted the prompt's tokens.
        text: the answer so far.
        chunk_at_s: when the last chunk was published [s].
        started_at_s, planned_at_s: when it was sent to run, and when its prefill ended [s].
        heard_at_s: when the worker last said something of it, or was sent it [s].
    """

    query: Query
    number: int
    last_moment_s: float
    stop_at_s: float
    max_new_tokens: int
    is_tokenised: bool = False
    bill: Bill = field(default_factory=Bill)
    text: AnswerText = field(default_factory=AnswerText)
    chunk_count: int = 0
    chunk_at_s: float = float('-inf')
    started_at_s: float | None = None
    planned_at_s: float | None = None
    heard_at_s: float = 0.0

    @classmethod
    def of(cls, query: Query, number: int, settings: DispatchSettings) -> 'PendingQuery':
        """Return the entry of a query that has just come, by the settings of this moment."""
        last_moment_s = stop_at_s = query.deadline.at_s - settings.publish_reserve_s
        if query.overrun_policy is OverrunPolicy.SKIP_NEXT:
            stop_at_s = max(last_moment_s, query.asked_at_s + settings.max_time_budget_s)
        return cls(query, number, last_moment_s, stop_at_s, query.max_new_tokens)

    @property
    def may_be_late(self) -> bool:
        """Whether it runs on beyond its last moment."""
        return self.query.overrun_policy is OverrunPolicy.SKIP_NEXT

    @property
    def job(self) -> Job:
        """The query as its claim on the worker."""
        return Job(
            self.number,
            self.bill.prompt_tokens if self.is_tokenised else 0,
            self.max_new_tokens,
            self.last_moment_s,
            self.may_be_late,
            self.started_at_s,
            self.bill.kept_tokens if self.planned_at_s is not None else 0,
            self.bill.response_tokens,
        )

    @property
    def doing(self) -> str:
        """What is being done for it."""
        if self.started_at_s is None:
            return 'waiting for its turn'
        if self.planned_at_s is None:
            return 'reading the prompt'
        return f'writing the response ({self.bill.response_tokens} tokens so far)'

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
