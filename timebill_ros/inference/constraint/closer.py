"""Keeps the newest closing of an answer that grows, and makes a new one only where it may differ.

A closing stays right while the answer grows: it holds for the characters before it.
"""

from dataclasses import dataclass
from typing import Protocol

from llguidance import LLMatcher

from timebill_ros.core.constraint import Closing
from timebill_ros.inference.constraint.closing_check import ClosingCheck
from timebill_ros.inference.constraint.json_closing import JsonClosings
from timebill_ros.inference.constraint.json_prefix import Frame, JsonPrefix, Place
from timebill_ros.inference.constraint.minimal_instance import Instance

_MOST_TRIED = 8


class Closer(Protocol):
    """Knows how an answer can be closed."""

    closing: Closing | None

    def update(self, text: str, matcher: LLMatcher, check: ClosingCheck) -> None:
        """Bring the closing up to date.

        Arguments:
            text: the answer so far.
            matcher: as it is after it. It must be left so.
            check: of this answer.
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

    def update(self, text: str, matcher: LLMatcher, check: ClosingCheck) -> None:
        """See Closer."""
        prefix = self._prefix
        prefix.add(text[len(prefix.text) :])
        if (open_string := prefix.open_string) is not None:
            position, frame = open_string
            if position != self._cut:
                self._cut = position
                self._close(position, '"', self._string_ends(frame), check)
        elif prefix.place is not None and prefix.place is not self._place:
            self._close(prefix.place.position, '', self._ends(prefix.place.frame), check)
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

    def _close(
        self, position: int, opening: str, candidates: list[Instance], check: ClosingCheck
    ) -> None:
        for end in candidates:
            if check.ends(position, opening + end.text):
                self.closing = Closing(position, opening + end.text, end.filled, end.invented)
                return
