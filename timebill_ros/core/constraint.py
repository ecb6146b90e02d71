"""The form that an answer must have, and how an unfinished one becomes whole."""

from dataclasses import dataclass
from enum import IntEnum


class ConstraintKind(IntEnum):
    """What describes the form. The values are those of the message Query."""

    NONE = 0
    JSON_SCHEMA = 1
    REGEX = 2
    CHOICES = 3


@dataclass(frozen=True)
class Constraint:
    """The form of an answer.

    Arguments:
        kind: never NONE.
        text: the JSON schema or the regular expression; '' for CHOICES.
        choices: the answers to choose from; empty unless CHOICES.
        fill_missing: whether a closing may invent required values that are missing.
    """

    kind: ConstraintKind
    text: str = ''
    choices: tuple[str, ...] = ()
    fill_missing: bool = False


@dataclass(frozen=True)
class Closing:
    """Makes a document of an answer that is not finished.

    Arguments:
        safe_length: characters of the answer so far that stay.
        text: follows them; '' if they are a document already.
        filled: the values in it that the model had not begun, as JSON Pointers.
        invented: those of them for which the schema gives no default.
        mean_token_probability: the geometric mean of what the model had chosen when it was made;
            0: nothing yet.
    """

    safe_length: int
    text: str = ''
    filled: tuple[str, ...] = ()
    invented: tuple[str, ...] = ()
    mean_token_probability: float = 0.0


class InvalidConstraintError(ValueError):
    """One sentence for a person that names the field, its value and the bound."""
