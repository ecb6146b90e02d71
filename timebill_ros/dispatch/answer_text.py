"""The answer as the node holds it: all of it, its whole words, and what is not yet in a chunk."""

import re

# Scripts that are written without spaces: each character ends a word.
_UNSPACED = r'\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef'
_WORD_END = re.compile(rf'(?<=\S)(?=\s)|(?<=[{_UNSPACED}])')


class AnswerText:
    """Grows piece by piece. What take() returned, joined, always begins what it returns next.

    A word ends before white space, or after a character of a script without spaces: what follows
    the last end may still change ('3.' may become '3.14').
    """

    def __init__(self) -> None:
        self.text = ''
        self._words_end = 0
        self._taken = 0

    def add(self, piece: str) -> None:
        """Add what has been generated."""
        seen = len(self.text)
        self.text += piece
        for end in _WORD_END.finditer(self.text, seen):
            self._words_end = end.start()

    @property
    def whole_words(self) -> str:
        """The text up to the last end of a word; '' while no word has ended."""
        return self.text[: self._words_end]

    def take(self, text: str) -> str:
        """Return what has not been taken of a text: whole_words, or at the end the whole text."""
        rest, self._taken = text[self._taken :], max(self._taken, len(text))
        return rest
