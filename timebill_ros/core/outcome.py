"""How a query ends. The values are those of the messages Query, Response and DeadlineMiss."""

from dataclasses import dataclass
from enum import IntEnum


class OverrunPolicy(IntEnum):
    """What happens to a query that is about to miss its deadline."""

    DEFAULT = 0
    KILL = 1
    SKIP_NEXT = 2
    PARTIAL = 3


class FinishReason(IntEnum):
    """Why generation ended with an answer."""

    EOS = 1
    LENGTH = 2
    REPETITION = 3
    DEADLINE = 4
    CLOSED = 5


class MissReason(IntEnum):
    """Why there is no answer."""

    INFEASIBLE = 1
    QUEUE_FULL = 2
    EXPIRED = 3
    KILLED = 4
    SKIPPED = 5
    ENGINE_FAULT = 6
    INVALID_QUERY = 7
    DUPLICATE_ID = 8
    NOT_READY = 9
    CANCELLED = 10
    OVERLOADED = 11


@dataclass(frozen=True)
class Answer:
    """An answer: the whole text, why generation ended, whether it is in time."""

    text: str
    finish_reason: FinishReason
    deadline_met: bool = True


@dataclass(frozen=True)
class Miss:
    """The query is not answered.

    Arguments:
        reason: why there is no answer.
        detail: a sentence for a person.
        minimum_time_budget_s: the smallest budget that would do [s]; 0: not known.
    """

    reason: MissReason
    detail: str
    minimum_time_budget_s: float = 0.0


Outcome = Answer | Miss
