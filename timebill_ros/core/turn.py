"""One turn of a conversation, and what goes into a turn of the user's."""

from dataclasses import dataclass
from enum import IntEnum


class Role(IntEnum):
    """Who said it. The values are those of the message Turn."""

    USER = 1
    ASSISTANT = 2


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation before a prompt: who said what."""

    role: Role
    text: str


class HistoryError(ValueError):
    """The model's chat template cannot hold a history; the sentence says why."""


def user_turn(prompt: str, context: str) -> str:
    """Return the user's turn: the context, if there is one, then the prompt."""
    return f'{context}\n\n{prompt}' if context else prompt
