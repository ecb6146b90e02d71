"""A prompt whose answer's length is to be learned."""

import hashlib
import re
from dataclasses import dataclass
from enum import Enum


class Kind(str, Enum):
    """What sort of answer a prompt asks for."""

    OPEN_ENDED = 'open-ended'
    SHORT_ANSWER = 'short-answer'
    REASONING = 'reasoning'
    ROBOT_COMMAND = 'robot-command'
    LONG_CONTEXT = 'long-context'


@dataclass(frozen=True)
class Prompt:
    """A prompt.

    Arguments:
        text: as a user would send it.
        source: where it comes from, such as 'gsm8k'; a source has prompts of one kind.
        kind: what sort of answer it asks for.
    """

    text: str
    source: str
    kind: Kind

    @property
    def sha256(self) -> str:
        """Hash of the text, hexadecimal: tells prompts apart where no text may be kept."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def normalised_hash(text: str) -> str:
    """Return a hash that is the same for texts that differ in case, spaces or a last dot."""
    words = re.sub(r'\s+', ' ', text.casefold()).strip(' .?!')
    return hashlib.sha256(words.encode()).hexdigest()
