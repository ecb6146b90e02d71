"""Checks whether a text makes a document of an answer."""

from llguidance import LLMatcher

from timebill_ros.inference.constraint.vocabulary import Vocabulary
from timebill_ros.inference.constraint.written import Written


class ClosingCheck:
    """Checks on a matcher of its own that follows the answer.

    To copy the answer's matcher for each check would cost more than the check.

    Arguments:
        vocabulary: of the model.
        start: a matcher before the first token; a copy of it is used.
        written: the answer, while it grows.
    """

    def __init__(self, vocabulary: Vocabulary, start: LLMatcher, written: Written) -> None:
        self._vocabulary = vocabulary
        self._written = written
        self._matcher = start.deep_copy()
        self._taken = 0
        self._known: dict[str, list[int]] = {}

    def ends(self, position: int, closing: str) -> bool:
        """Return whether the answer up to a position, with a text behind it, is a document.

        Arguments:
            position: in the text [characters].
        """
        tokens = self._moved(position) + self._of(closing)
        return self._vocabulary.ends(self._matcher, tokens)

    def at(self, position: int) -> LLMatcher | None:
        """Return a matcher after the answer up to a position; None: it may not be cut there."""
        rest = self._moved(position)
        matcher = self._matcher.deep_copy()
        return matcher if matcher.try_consume_tokens(rest) == len(rest) else None

    def _moved(self, position: int) -> list[int]:
        """Move to the last token that ends before a position; return the tokens up to it."""
        count, start = self._written.whole_tokens(position)
        self._follow(count)
        rest = self._written.text[start:position]
        return self._vocabulary.tokens.tokenize_str(rest) if rest else []

    def _follow(self, count: int) -> None:
        """Move to after so many tokens."""
        if count > self._taken:
            self._matcher.consume_tokens(self._written.ids[self._taken : count])
        elif count < self._taken:
            self._matcher.rollback(self._taken - count)
        self._taken = count

    def _of(self, closing: str) -> list[int]:
        """Return a closing's tokens; most closings come again after the next token."""
        if closing not in self._known:
            self._known[closing] = self._vocabulary.tokens.tokenize_str(closing)
        return self._known[closing]
