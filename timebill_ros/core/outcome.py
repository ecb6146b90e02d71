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
class Confidence:
    """Which choice the model took, and how sure it was.

    Arguments:
        choice: index of the chosen one; -1: the query has no choices, or none was chosen.
        choice_probabilities: of each choice, in their order.
        mean_token_probability: the geometric mean of what the model chose; 0: not known.
    """

    choice: int = -1
    choice_probabilities: tuple[float, ...] = ()
    mean_token_probability: float = 0.0


NOT_KNOWN = Confidence()


@dataclass(frozen=True)
class Answer:
    """An answer.

    Arguments:
        text: all of it.
        finish_reason: why generation ended.
        deadline_met: whether it is in time.
        closing: the end of the text that the model did not write; '': it wrote everything.
        filled: the values in the closing that the model had not begun, as JSON Pointers.
        confidence: how sure the model was.
        backend: which engine answered: 'local' or 'remote'.
    """

    text: str
    finish_reason: FinishReason
    deadline_met: bool = True
    closing: str = ''
    filled: tuple[str, ...] = ()
    confidence: Confidence = NOT_KNOWN
    backend: str = 'local'

    @property
    def model_text(self) -> str:
        """The text that the model wrote."""
        return self.text[: len(self.text) - len(self.closing)]


@dataclass(frozen=True)
class Miss:
    """The query is not answered.

    Arguments:
        reason: why there is no answer.
        detail: a sentence for a person.
        minimum_time_budget_s: the smallest budget that would do [s]; 0: not known.
        backend: 'remote', if a remote engine was asked last; else ''.
    """

    reason: MissReason
    detail: str
    minimum_time_budget_s: float = 0.0
    backend: str = ''


Outcome = Answer | Miss
