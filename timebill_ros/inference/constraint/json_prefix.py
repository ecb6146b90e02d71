"""Follows compact JSON while it is written: what is open, and where it could be closed."""

import json
from dataclasses import dataclass, field
from enum import Enum, auto

_LITERALS = ('true', 'false', 'null')


@dataclass(frozen=True, eq=False)
class Frame:
    """An open container, as it was at one moment.

    Arguments:
        parent: the container around it; None: it is the document.
        is_object: an object, else an array.
        keys: of an object's complete values, in their order.
        scalars: the JSON texts of those that are scalars, by key.
        items: number of an array's complete values.
        key: of the object's value that comes now.
    """

    parent: 'Frame | None'
    is_object: bool
    keys: tuple[str, ...] = ()
    scalars: tuple[tuple[str, str], ...] = ()
    items: int = 0
    key: str = ''

    @property
    def is_empty(self) -> bool:
        """Whether it has no complete value."""
        return not self.keys and not self.items

    def at_key(self, key: str) -> 'Frame':
        """Return it while the value of a key comes."""
        return Frame(self.parent, True, self.keys, self.scalars, 0, key)

    def with_value(self, scalar: str = '') -> 'Frame':
        """Return it with one more complete value.

        Arguments:
            scalar: the value's JSON text; '' for a container.
        """
        if not self.is_object:
            return Frame(self.parent, False, items=self.items + 1)
        more = ((self.key, scalar),) if scalar else ()
        return Frame(self.parent, True, (*self.keys, self.key), (*self.scalars, *more))


@dataclass(frozen=True)
class Place:
    """Where a text may end if what is open is closed.

    Arguments:
        position: characters before it.
        frame: the innermost open container; None: the document is complete.
    """

    position: int
    frame: Frame | None


class _Expects(Enum):
    VALUE = auto()
    KEY = auto()
    COLON = auto()
    COMMA = auto()  # or a closing bracket
    NOTHING = auto()


@dataclass
class JsonPrefix:
    """A growing beginning of a JSON document without white space.

    `place` is the last one that needs no more than brackets and what is missing: after a complete
    value, or inside a container that has just begun. Before the first, it is None.
    """

    text: str = ''
    place: Place | None = None
    _frame: Frame | None = None
    _expects: _Expects = _Expects.VALUE
    _token_at: int = -1
    """Where the string, number or literal begins that is being written; -1: none is."""
    _is_string: bool = False
    _escape: int = 0
    """Characters that the escape sequence still needs."""
    _word_end: int = field(default=-1)

    def add(self, piece: str) -> None:
        """Add what comes next. It must continue a valid document."""
        for character in piece:
            self._step(character)
            self.text += character

    @property
    def open_string(self) -> tuple[int, Frame | None] | None:
        """Where a string value that is being written could be cut, and the container around it.

        It is cut after its last whole word, or where it is if it has none. None: no string value
        is open, or an escape sequence is.
        """
        if self._token_at < 0 or not self._is_string or self._expects is _Expects.KEY:
            return None
        if self._word_end > self._token_at:
            return self._word_end, self._frame
        return None if self._escape else (len(self.text), self._frame)

    def _step(self, character: str) -> None:
        if self._token_at >= 0:
            if self._is_string:
                self._in_string(character)
                return
            if character not in ',]}':
                if self.text[self._token_at :] + character in _LITERALS:
                    self._ends_scalar(len(self.text) + 1, character)
                return
            self._ends_scalar(len(self.text), '')
        self._structure(character)

    def _in_string(self, character: str) -> None:
        if self._escape:
            self._escape = 4 if character == 'u' and self._escape == 1 else self._escape - 1
        elif character == '\\':
            self._escape = 1
        elif character == '"':
            if self._expects is _Expects.KEY:
                key = json.loads(self.text[self._token_at :] + '"')
                assert self._frame is not None
                self._frame, self._expects = self._frame.at_key(key), _Expects.COLON
                self._token_at = -1
            else:
                self._ends_scalar(len(self.text) + 1, '"')
        elif character == ' ' and len(self.text) > self._token_at + 1 and self.text[-1] != ' ':
            self._word_end = len(self.text)

    def _ends_scalar(self, position: int, last: str) -> None:
        self._ends_value(position, self.text[self._token_at :] + last)
        self._token_at = -1

    def _structure(self, character: str) -> None:
        position = len(self.text) + 1
        if character in '{[':
            self._frame = Frame(self._frame, character == '{')
            self._expects = _Expects.KEY if character == '{' else _Expects.VALUE
            self.place = Place(position, self._frame)
        elif character in '}]':
            assert self._frame is not None
            self._frame = self._frame.parent
            self._ends_value(position, '')
        elif character == ',':
            assert self._frame is not None
            self._expects = _Expects.KEY if self._frame.is_object else _Expects.VALUE
        elif character == ':':
            self._expects = _Expects.VALUE
        else:
            self._token_at, self._is_string, self._escape = len(self.text), character == '"', 0

    def _ends_value(self, position: int, scalar: str) -> None:
        if self._frame is not None:
            self._frame = self._frame.with_value(scalar)
            self._expects = _Expects.COMMA
        else:
            self._expects = _Expects.NOTHING
        self.place = Place(position, self._frame)
