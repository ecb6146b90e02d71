"""What the worker says of one query, from its tokenising to its end. See protocol.py."""

from msgspec import Struct

from timebill_ros.core.bill import Bill
from timebill_ros.core.constraint import Closing
from timebill_ros.core.outcome import FinishReason


class Tokenised(Struct, frozen=True, tag=True):
    """Worker to node: the query's length with the chat template applied.

    Arguments:
        max_response_tokens: the longest answer that the constraint allows, with the stop token;
            of choices, the steps that it takes to score them all; 0: no bound is known.
        cached_tokens: prompt tokens that are in the cache. They stay there until the query has
            been read, unless Cached says otherwise.
    """

    number: int
    prompt_tokens: int
    max_response_tokens: int = 0
    cached_tokens: int = 0


class Cached(Struct, frozen=True, tag=True):
    """Worker to node: more or fewer tokens of a waiting query's prompt are in the cache now."""

    number: int
    cached_tokens: int


class Rejected(Struct, frozen=True, tag=True):
    """Worker to node: the query is invalid, as was seen before it ran or then; it is forgotten.

    Arguments:
        detail: a sentence for a person that names the field.
    """

    number: int
    detail: str


class Planned(Struct, frozen=True, tag=True):
    """Worker to node: the prefill has ended; the bill so far, with what the plan expects.

    Arguments:
        predicted_lengths: by the length predictor, as AskerLengths has them; empty: nothing.
    """

    number: int
    bill: Bill
    predicted_lengths: tuple[float, ...] = ()


class Text(Struct, frozen=True, tag=True):
    """Worker to node: more text, often '', and the response's length so far.

    Arguments:
        thinking_tokens: so many of the response's tokens are thinking.
        closing: makes a document of the text so far; None: free text, or nothing can.
    """

    number: int
    text: str
    response_tokens: int
    thinking_tokens: int = 0
    closing: Closing | None = None


class Finished(Struct, frozen=True, tag=True):
    """Worker to node: the query's generation ended.

    Arguments:
        finish_reason: None: it was stopped.
        choice: index of the chosen one; -1: the query has no choices, or none was chosen.
        choice_probabilities: of each choice, in their order.
        mean_token_probability: the geometric mean of what the model chose; 0: not known.
    """

    number: int
    finish_reason: FinishReason | None
    bill: Bill
    choice: int = -1
    choice_probabilities: tuple[float, ...] = ()
    mean_token_probability: float = 0.0


class Faulted(Struct, frozen=True, tag=True):
    """Worker to node: the query ended in an error that the worker survived."""

    number: int
    detail: str


Progress = Tokenised | Cached | Rejected | Planned | Text | Finished | Faulted
