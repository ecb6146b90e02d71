"""Keeps the newest closing of an answer that grows, and makes a new one only where it may differ.

A closing stays right while the answer grows: it holds for the characters before it.
"""

from collections.abc import Callable
from typing import Protocol

from llguidance import LLMatcher

from timebill_ros.core.constraint import Closing
from timebill_ros.inference.constraint.json_closing import JsonClosings
from timebill_ros.inference.constraint.json_prefix import Frame, JsonPrefix, Place
from timebill_ros.inference.constraint.minimal_instance import Instance
from timebill_ros.inference.constraint.shortest_end import shortest_end
from timebill_ros.inference.constraint.vocabulary import Vocabulary

Ends = Callable[[int, str], bool]
"""Whether the answer up to a position, with a text behind it, is a whole document."""

_MOST_TRIED = 8
_SEARCH_PERIOD = 16


class Closer(Protocol):
    """Knows how an answer can be closed."""

    closing: Closing | None

    def update(self, text: str, matcher: LLMatcher, ends: Ends) -> None:
        """Bring the closing up to date.

        Arguments:
            text: the answer so far.
            matcher: as it is after it. It must be left so.
            ends: checks a closing.
        """


class JsonCloser:
    """Closes a JSON document after its last complete value, or inside a text.

    Arguments:
        closings: of its schema.
        before: closes a document that has not begun.
    """

    def __init__(self, closings: JsonClosings, before: Closing) -> None:
        self.closing: Closing | None = before
        self._closings = closings
        self._prefix = JsonPrefix()
        self._place: Place | None = None
        self._cut = -1

    def update(self, text: str, matcher: LLMatcher, ends: Ends) -> None:
        """See Closer."""
        prefix = self._prefix
        prefix.add(text[len(prefix.text) :])
        if (open_string := prefix.open_string) is not None:
            self._close_string(*open_string, ends)
        elif prefix.place is not None and prefix.place is not self._place:
            self._close(prefix.place, '', prefix.place.frame, ends)
        self._place = prefix.place

    def _close_string(self, position: int, frame: Frame | None, ends: Ends) -> None:
        if position != self._cut and self._closings.may_be_cut(frame):
            self._cut = position
            around = None if frame is None else frame.with_value()
            self._close(Place(position, around), '"', around, ends)

    def _close(self, place: Place, opening: str, frame: Frame | None, ends: Ends) -> None:
        found = _first_that_ends(
            place.position, opening, self._closings.of(frame)[:_MOST_TRIED], ends
        )
        if found is not None:
            self.closing = found


def _first_that_ends(
    position: int, opening: str, candidates: list[Instance], ends: Ends
) -> Closing | None:
    for end in candidates:
        if ends(position, opening + end.text):
            return Closing(position, opening + end.text, end.filled, end.invented)
    return None


class RegexCloser:
    """Closes where the answer fits the expression, or where a short search finds an end.

    Arguments:
        vocabulary: of the model.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.closing: Closing | None = None
        self._searched_at = -_SEARCH_PERIOD
        self._calls = 0

    def update(self, text: str, matcher: LLMatcher, ends: Ends) -> None:
        """See Closer."""
        self._calls += 1
        if matcher.is_accepting():
            self.closing = Closing(len(text))
        elif self.closing is None and self._calls - self._searched_at >= _SEARCH_PERIOD:
            self._searched_at = self._calls
            end = shortest_end(self._vocabulary, matcher)
            if end is not None and ends(len(text), end):
                self.closing = Closing(len(text), end)
