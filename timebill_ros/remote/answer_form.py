"""The form of a remote answer, checked here again: a server may ignore what it was asked for."""

import json
from typing import Any

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from timebill_ros.core.constraint import Constraint, ConstraintKind

_LIMITS = LLParserLimits(
    initial_lexer_fuel=100_000,
    step_lexer_fuel=20_000,
    max_lexer_states=20_000,
    verbose_errors=False,
)

_NAMES = {ConstraintKind.JSON_SCHEMA: 'schema', ConstraintKind.REGEX: 'regular expression'}


class FormError(ValueError):
    """An answer has not its form, or there is no such form; a sentence."""


def schema_of(constraint: Constraint) -> Any:
    """Return a form as a JSON schema. Every server has schemas; few have the others.

    Raises:
        FormError: it cannot be used.
    """
    if constraint.kind is ConstraintKind.CHOICES:
        return {'type': 'string', 'enum': list(constraint.choices)}
    _matcher(constraint)
    if constraint.kind is ConstraintKind.REGEX:
        return {'type': 'string', 'pattern': f'^({constraint.text})$'}
    return json.loads(constraint.text)


def answer_of_form(text: str, constraint: Constraint) -> tuple[str, int]:
    """Return the answer that a text holds, and the index of the choice; -1: there are none.

    Expressions and choices were asked for as JSON strings; a server that ignores that may have
    written them plainly.

    Raises:
        FormError: it is not of the form.
    """
    if constraint.kind is ConstraintKind.JSON_SCHEMA:
        _match(constraint, text.strip())
        return text.strip(), -1
    plain = _unquoted(text)
    if constraint.kind is ConstraintKind.REGEX:
        _match(constraint, plain)
        return plain, -1
    try:
        return plain, constraint.choices.index(plain)
    except ValueError:
        raise FormError('the remote answer is none of the choices') from None


def _match(constraint: Constraint, text: str) -> None:
    matcher, ids = _matcher(constraint), LLTokenizer('byte').tokenize_str(text)
    if matcher.try_consume_tokens(ids) < len(ids) or not matcher.is_accepting():
        raise FormError(f'the remote answer does not obey the {_NAMES[constraint.kind]}')


def _matcher(constraint: Constraint) -> LLMatcher:
    is_schema = constraint.kind is ConstraintKind.JSON_SCHEMA
    try:
        grammar = (
            LLMatcher.grammar_from_json_schema(constraint.text)
            if is_schema
            else LLMatcher.grammar_from_regex(constraint.text)
        )
        matcher = LLMatcher(LLTokenizer('byte'), grammar, limits=_LIMITS)
    except (ValueError, RecursionError) as error:
        raise FormError(f'constraint cannot be used: {error}') from None
    if matcher.is_error():
        raise FormError(f'constraint cannot be used: {matcher.get_error()}')
    return matcher


def _unquoted(text: str) -> str:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text.strip()
    return value if isinstance(value, str) else text.strip()
