"""A query that has not been replied to: what is known of it so far."""

import math
from dataclasses import dataclass, field

from timebill_ros.core.constraint import ConstraintKind
from timebill_ros.core.outcome import NOT_KNOWN, Answer, Confidence, OverrunPolicy
from timebill_ros.core.query import Query
from timebill_ros.dispatch.answer_text import AnswerText
from timebill_ros.dispatch.dispatch_settings import DispatchSettings
from timebill_ros.dispatch.habit import Habit
from timebill_ros.dispatch.query_bill import QueryBill
from timebill_ros.dispatch.remote_attempt import RemoteAttempt

_BYTES_PER_TOKEN = 4


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
            and than the constraint allows. Of choices: the steps that it takes to score them all.
        is_tokenised: the backend has counted the prompt's tokens.
        attempt: what a remote engine has done for it; None: none is asked.
        text: the answer so far.
        confidence: how sure the model is of it.
        chunk_at_s: when the last chunk was published [s].
        predicted_lengths: by the length predictor, as AskerLengths has them; empty: nothing.
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
    attempt: RemoteAttempt | None = None
    text: AnswerText = field(default_factory=AnswerText)
    confidence: Confidence = NOT_KNOWN
    predicted_lengths: tuple[float, ...] = ()
    chunk_count: int = 0
    chunk_at_s: float = float('-inf')
    heard_at_s: float = 0.0

    @classmethod
    def of(cls, query: Query, number: int, settings: DispatchSettings) -> 'PendingQuery':
        """Return the entry of a query that has just come, by the settings of this moment."""
        last_moment_s = stop_at_s = query.deadline.at_s - settings.publish_reserve_s
        if query.overrun_policy is OverrunPolicy.SKIP_NEXT:
            stop_at_s = max(last_moment_s, query.asked_at_s + settings.max_time_budget_s)
        return cls(
            query,
            QueryBill(query),
            number,
            last_moment_s,
            stop_at_s,
            prompt_bytes=sum(len(text.encode('utf-8', 'surrogatepass')) for text in query.texts),
            max_new_tokens=_choice_steps(query) or query.max_new_tokens,
            text=AnswerText.of(query.constraint),
        )

    @property
    def is_waiting(self) -> bool:
        """Whether it has not been sent to run."""
        return self.bill.started_at_s is None and not self.is_remote

    @property
    def is_remote(self) -> bool:
        """Whether a remote engine answers it, and not the own model."""
        return self.attempt is not None and not self.attempt.is_race

    @property
    def is_racing(self) -> bool:
        """Whether both answer it, and neither has won."""
        return self.attempt is not None and self.attempt.is_race

    @property
    def held(self) -> Answer | None:
        """The own model's answer, which waits for a better one; None: there is none."""
        return self.attempt.own if self.attempt is not None else None

    @property
    def may_be_late(self) -> bool:
        """Whether it runs on beyond its last moment. A remote answer is not waited for."""
        return self.query.overrun_policy is OverrunPolicy.SKIP_NEXT and not self.is_remote

    def is_late(self, now_s: float) -> bool:
        """Return whether it is being finished beyond its last moment."""
        return self.may_be_late and now_s >= self.last_moment_s

    @property
    def may_be_partial(self) -> bool:
        """Whether a part of its answer is an answer too. Half a choice is none."""
        return self.query.overrun_policy is OverrunPolicy.PARTIAL and not self.is_choice

    @property
    def is_choice(self) -> bool:
        """Whether the model does not write, but scores choices."""
        constraint = self.query.constraint
        return constraint is not None and constraint.kind is ConstraintKind.CHOICES

    @property
    def habit(self) -> Habit:
        """What its answer's length is learned for."""
        return Habit(self.query.key.asker, self.query.constraint)

    @property
    def cache_tokens(self) -> int:
        """The most tokens of its KV cache; while the prompt is not tokenised, of its answer."""
        return self.bill.so_far.prompt_tokens + self.max_new_tokens

    @property
    def doing(self) -> str:
        """What is being done for it."""
        if self.is_waiting:
            return 'waiting for its turn'
        if self.is_remote:
            tokens = self.bill.so_far.response_tokens
            return f'the remote engine was answering ({tokens} tokens so far)'
        if self.bill.preempted_at_s is not None:
            return 'waiting for a more urgent query to end'
        if self.bill.planned_at_s is None:
            return 'reading the prompt'
        tokens = self.bill.so_far.response_tokens
        if 0 < tokens == self.bill.so_far.thinking_tokens:
            return f'still thinking ({tokens} tokens so far)'
        return f'writing the answer ({tokens} tokens so far)'


def _choice_steps(query: Query) -> int:
    """Return about how many steps it takes to score all choices; 0: the query has none."""
    choices = query.constraint.choices if query.constraint is not None else ()
    sizes = (len(choice.encode('utf-8', 'surrogatepass')) for choice in choices)
    return sum(1 + math.ceil(size / _BYTES_PER_TOKEN) for size in sizes)
