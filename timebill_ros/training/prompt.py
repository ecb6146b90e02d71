"""A prompt, for which the length of the answer is collected."""

import hashlib
import re
from dataclasses import dataclass
from enum import Enum


class Kind(str, Enum):
    """The sort of answer that a prompt asks for."""

    OPEN_ENDED = 'open-ended'
    SHORT_ANSWER = 'short-answer'
    REASONING = 'reasoning'
    ROBOT_COMMAND = 'robot-command'
    LONG_CONTEXT = 'long-context'


@dataclass(frozen=True)
class Prompt:
    """A prompt.

    Arguments:
        text: as a user sends it.
        source: its source, such as 'gsm8k'; all prompts of a source have the same kind.
        kind: the sort of answer.
    """

    text: str
    source: str
    kind: Kind

    @property
    def sha256(self) -> str:
        """Hash of the text, hexadecimal: identifies a prompt without storing its text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def normalised_hash(text: str) -> str:
    """Return a hash that is the same for texts that differ in case, spaces or a last dot."""
    words = re.sub(r'\s+', ' ', text.casefold()).strip(' .?!')
    return hashlib.sha256(words.encode()).hexdigest()
