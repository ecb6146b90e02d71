"""Keeps the newest closing of an answer that grows, and makes a new one only where it may differ.

A closing stays right while the answer grows: it holds for the characters before it.
"""

from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class _OpenString:
    """A string value that is being written.

    Arguments:
        frame: the container around it, another one for each value; None: it is the document.
        ends: what may follow it; none, if a part of it is no value.
    """

    frame: Frame | None
    ends: list[Instance]


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
        self._string: _OpenString | None = None
        self._cut = -1

    def update(self, text: str, matcher: LLMatcher, ends: Ends) -> None:
        """See Closer."""
        prefix = self._prefix
        prefix.add(text[len(prefix.text) :])
        if (open_string := prefix.open_string) is not None:
            position, frame = open_string
            if position != self._cut:
                self._cut = position
                self._close(position, '"', self._string_ends(frame), ends)
        elif prefix.place is not None and prefix.place is not self._place:
            self._close(prefix.place.position, '', self._ends(prefix.place.frame), ends)
        self._place = prefix.place

    def _string_ends(self, frame: Frame | None) -> list[Instance]:
        """Return what may follow a string in a container; it is the same while it grows."""
        if self._string is None or self._string.frame is not frame:
            around = None if frame is None else frame.with_value()
            found = self._ends(around) if self._closings.may_be_cut(frame) else []
            self._string = _OpenString(frame, found)
        return self._string.ends

    def _ends(self, frame: Frame | None) -> list[Instance]:
        return self._closings.of(frame)[:_MOST_TRIED]

    def _close(self, position: int, opening: str, candidates: list[Instance], ends: Ends) -> None:
        for end in candidates:
            if ends(position, opening + end.text):
                self.closing = Closing(position, opening + end.text, end.filled, end.invented)
                return


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
