"""The length of one answer, as it is learned from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AnswerLength:
    """The length of one answer.

    Arguments:
        tokens: as generated.
        is_whole: it ended by itself. Else it was cut off, by time or by max_new_tokens, and would
            have become longer (a censored observation).
        thinking_tokens: so many of them are thinking.
        passes: that writing it took, in units of a step over one token; None: not known.
    """

    tokens: int
    is_whole: bool
    thinking_tokens: int = 0
    passes: float | None = None
