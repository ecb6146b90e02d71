"""The answer as the node holds it: what of it can be an answer, and what is not yet in a chunk."""

import re

from timebill_ros.core.constraint import Closing, Constraint

# Scripts that are written without spaces: each character ends a word.
_UNSPACED = r'\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef'
_WORD_END = re.compile(rf'(?<=\S)(?=\s)|(?<=[{_UNSPACED}])')


class AnswerText:
    """Grows piece by piece. What take() returned, joined, always begins what it returns next.

    A word ends before white space, or after a character of a script without spaces: what follows
    the last end may still change ('3.' may become '3.14').

    Arguments:
        is_constrained: the answer has a form. Then it is cut off where it can be closed, and not
            at the end of a word.
        may_invent: a closing may hold values that nobody gave. Else the latest that holds none is
            kept, if there has been one: a list that is cut off ends with its last whole element,
            if a token ended there.

    `closing` is the latest that can be used; None: there is none.
    """

    def __init__(self, is_constrained: bool = False, may_invent: bool = True) -> None:
        self.text = ''
        self.closing: Closing | None = None
        self._is_constrained = is_constrained
        self._may_invent = may_invent
        self._words_end = 0
        self._taken = 0

    @classmethod
    def of(cls, constraint: Constraint | None) -> 'AnswerText':
        """Return the text of an answer that has not begun."""
        return cls(constraint is not None, constraint is None or constraint.fill_missing)

    def add(self, piece: str, closing: Closing | None = None) -> None:
        """Add what has been generated.

        Arguments:
            piece: follows the text so far.
            closing: makes a document of the text with this piece; None: nothing new can.
        """
        seen = len(self.text)
        self.text += piece
        for end in _WORD_END.finditer(self.text, seen):
            self._words_end = end.start()
        # The text up to a safe point never changes, so an earlier closing still makes a document.
        # One from an earlier safe point would not begin with the chunks that are out.
        if closing is None or closing.safe_length < self._safe_length:
            return
        has_whole = self.closing is not None and not self.closing.invented
        if self._may_invent or not (closing.invented and has_whole):
            self.closing = closing

    @property
    def whole_words(self) -> str:
        """The text up to the last end of a word; '' while no word has ended."""
        return self.text[: self._words_end]

    @property
    def settled(self) -> str:
        """The text that stays, wherever the answer is cut off."""
        return self.text[: self._safe_length] if self._is_constrained else self.whole_words

    def take(self, text: str) -> str:
        """Return what has not been taken of a text: settled, or at the end the whole text."""
        rest, self._taken = text[self._taken :], max(self._taken, len(text))
        return rest

    @property
    def _safe_length(self) -> int:
        return self.closing.safe_length if self.closing is not None else 0
