"""A short text that a regular expression matches."""

import importlib
import re
import sys
from collections.abc import Iterable
from typing import Any

# Python 3.11 has moved them.
_HOME = ('re._constants', 're._parser')
_FORMER_HOME = ('sre_constants', 'sre_parse')
_NAMES = _HOME if sys.version_info >= (3, 11) else _FORMER_HOME
parts, parser = (importlib.import_module(name) for name in _NAMES)

_LONGEST = 4096
_ANY = 'a'


def shortest_match(pattern: str) -> str | None:
    """Return a text that a pattern matches as a whole; None: none is found.

    It must be checked: Python reads some patterns in another way than the constraint's library.
    """
    try:
        return _shortest(parser.parse(pattern))
    except (re.error, LookupError, OverflowError, RecursionError, ValueError):
        return None


def _shortest(items: Iterable[tuple[Any, Any]]) -> str:
    text = ''.join(_one(kind, argument) for kind, argument in items)
    if len(text) > _LONGEST:
        raise ValueError
    return text


def _one(kind: Any, argument: Any) -> str:
    if kind is parts.LITERAL:
        return chr(argument)
    if kind is parts.NOT_LITERAL:
        return _ANY if argument != ord(_ANY) else 'b'
    if kind is parts.ANY:
        return _ANY
    if kind is parts.IN:
        return _member(argument)
    if kind in (parts.MAX_REPEAT, parts.MIN_REPEAT):
        least, _, repeated = argument
        if least > _LONGEST:
            raise ValueError
        return _shortest(repeated) * least if least else ''
    if kind is parts.BRANCH:
        return min((_shortest(branch) for branch in argument[1]), key=len)
    if kind is parts.SUBPATTERN:
        return _shortest(argument[-1])
    if kind is parts.AT:
        return ''
    raise ValueError  # a reference to a group, or a look-around


_CATEGORIES = {
    parts.CATEGORY_DIGIT: '0',
    parts.CATEGORY_NOT_DIGIT: _ANY,
    parts.CATEGORY_SPACE: ' ',
    parts.CATEGORY_NOT_SPACE: _ANY,
    parts.CATEGORY_WORD: _ANY,
    parts.CATEGORY_NOT_WORD: ' ',
}


def _member(members: list[tuple[Any, Any]]) -> str:
    """Return a character of a set such as [a-z0-9] or [^,]."""
    if members[0][0] is not parts.NEGATE:
        kind, argument = members[0]
        if kind is parts.CATEGORY:
            return _CATEGORIES[argument]
        return chr(argument[0] if kind is parts.RANGE else argument)
    excluded = re.compile(f'[{"".join(_source(*member) for member in members[1:])}]')
    allowed = [sign for sign in map(chr, range(32, 127)) if not excluded.match(sign)]
    return min(allowed, key=lambda sign: not sign.isalnum())


def _source(kind: Any, argument: Any) -> str:
    if kind is parts.RANGE:
        return f'{re.escape(chr(argument[0]))}-{re.escape(chr(argument[1]))}'
    if kind is parts.LITERAL:
        return re.escape(chr(argument))
    return {'0': r'\d', ' ': r'\s'}.get(_CATEGORIES[argument], r'\w')
