"""What is written of an answer: its tokens, and the text that they make."""

import codecs
from typing import Any

from timebill_ros.inference.constraint.vocabulary import Vocabulary


class Written:
    """A growing answer.

    Arguments:
        vocabulary: of the model.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._tokens: Any = vocabulary.tokens
        self._decoder = codecs.getincrementaldecoder('utf-8')('replace')
        self._lengths: list[int] = []
        """Characters of the text after each token; -1 where a character is not complete."""
        self.ids: list[int] = []
        self.text = ''

    def add(self, token_id: int) -> str:
        """Add a token; return the characters that it completes, often ''."""
        piece = self._decoder.decode(self._tokens.decode_bytes([token_id]))
        self.text += piece
        pending, _ = self._decoder.getstate()
        self._lengths.append(-1 if pending else len(self.text))
        self.ids.append(token_id)
        return piece

    def whole_tokens(self, position: int) -> tuple[int, int]:
        """Return how many tokens end at a position or before it, and where the last of them ends.

        Tokens that end within a character do not count.

        Arguments:
            position: in the text [characters].
        """
        count = len(self._lengths)
        while count and not 0 <= self._lengths[count - 1] <= position:
            count -= 1
        return count, self._lengths[count - 1] if count else 0
