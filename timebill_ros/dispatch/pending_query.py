"""A query that has not been replied to: what is known of it so far."""

from dataclasses import dataclass, field

from timebill_ros.core.constraint import ConstraintKind
from timebill_ros.core.outcome import NOT_KNOWN, Confidence, OverrunPolicy
from timebill_ros.core.query import Query
from timebill_ros.dispatch.answer_text import AnswerText
from timebill_ros.dispatch.dispatch_settings import DispatchSettings
from timebill_ros.dispatch.query_bill import QueryBill


@dataclass
class PendingQuery:
    """The dispatcher's entry of a query. Changed under the dispatcher's lock only.

    Arguments:
        number: what the backend knows the query by.
        bill: what it costs, so far.
        last_moment_s: when it must end, its deadline less the reserve [s].
        stop_at_s: when the backend ends it by itself; later, where it may be late [s].
        prompt_bytes: the size of what is to be read, in UTF-8.
        max_new_tokens: as asked; once its prompt is tokenised, no more than fits the context
            and than the constraint allows.
        is_tokenised: the backend has counted the prompt's tokens.
        text: the answer so far.
        confidence: how sure the model is of it.
        chunk_at_s: when the last chunk was published [s].
        heard_at_s: when the backend last said something of it, or was sent it [s].
    """

    query: Query
    bill: QueryBill
    number: int
    last_moment_s: float
    stop_at_s: float
    prompt_bytes: int
    max_new_tokens: int
    is_tokenised: bool = False
    text: AnswerText = field(default_factory=AnswerText)
    confidence: Confidence = NOT_KNOWN
    chunk_count: int = 0
    chunk_at_s: float = float('-inf')
    heard_at_s: float = 0.0

    @classmethod
    def of(cls, query: Query, number: int, settings: DispatchSettings) -> 'PendingQuery':
        """Return the entry of a query that has just come, by the settings of this moment."""
        last_moment_s = stop_at_s = query.deadline.at_s - settings.publish_reserve_s
        if query.overrun_policy is OverrunPolicy.SKIP_NEXT:
            stop_at_s = max(last_moment_s, query.asked_at_s + settings.max_time_budget_s)
        longest_answer = _longest_choice(query) or query.max_new_tokens
        return cls(
            query,
            QueryBill(query),
            number,
            last_moment_s,
            stop_at_s,
            prompt_bytes=sum(len(text.encode('utf-8', 'surrogatepass')) for text in query.texts),
            max_new_tokens=min(query.max_new_tokens, longest_answer),
            text=AnswerText(query.constraint is not None),
        )

    @property
    def is_waiting(self) -> bool:
        """Whether it has not been sent to run."""
        return self.bill.started_at_s is None

    @property
    def may_be_late(self) -> bool:
        """Whether it runs on beyond its last moment."""
        return self.query.overrun_policy is OverrunPolicy.SKIP_NEXT

    @property
    def may_be_partial(self) -> bool:
        """Whether a part of its answer is an answer too. Half a choice is none."""
        constraint = self.query.constraint
        is_choice = constraint is not None and constraint.kind is ConstraintKind.CHOICES
        return self.query.overrun_policy is OverrunPolicy.PARTIAL and not is_choice

    @property
    def doing(self) -> str:
        """What is being done for it."""
        if self.is_waiting:
            return 'waiting for its turn'
        if self.bill.planned_at_s is None:
            return 'reading the prompt'
        tokens = self.bill.so_far.response_tokens
        if 0 < tokens == self.bill.so_far.thinking_tokens:
            return f'still thinking ({tokens} tokens so far)'
        return f'writing the answer ({tokens} tokens so far)'


def _longest_choice(query: Query) -> int:
    """Return an upper bound of the longest choice [tokens]; 0: the query has no choices."""
    choices = query.constraint.choices if query.constraint is not None else ()
    # No token is shorter than a byte; the end is one more.
    return max((1 + len(choice.encode('utf-8', 'surrogatepass')) for choice in choices), default=0)
