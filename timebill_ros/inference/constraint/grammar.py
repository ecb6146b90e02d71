"""A compiled JSON schema or regular expression."""

import json
from dataclasses import dataclass
from typing import Any

from llguidance import LLMatcher

from timebill_ros.core.constraint import InvalidConstraintError
from timebill_ros.inference.constraint.json_closing import JsonClosings
from timebill_ros.inference.constraint.longest_text import longest_text
from timebill_ros.inference.constraint.minimal_instance import Instance, MinimalInstances
from timebill_ros.inference.constraint.schema_options import SchemaOptions
from timebill_ros.inference.constraint.vocabulary import Vocabulary

_OVERRIDES: Any = {
    'whitespace_flexible': False,
    'item_separator': ',',
    'key_separator': ':',
    'coerce_one_of': False,
    'lenient': False,
}
_DEFINITIONS = ('$defs', 'definitions')
_LONGEST_DETAIL = 300


@dataclass(frozen=True)
class Grammar:
    """What a JSON schema or a regular expression allows.

    Arguments:
        vocabulary: of the model.
        start: a matcher before the first token; only copies of it are used.
        closings: of a JSON schema.
        shortest: the shortest document of a JSON schema.
        max_tokens: the longest text with the stop token; 0: it has no bound.
    """

    vocabulary: Vocabulary
    start: LLMatcher
    closings: JsonClosings | None = None
    shortest: Instance | None = None
    max_tokens: int = 0


def regex_grammar(vocabulary: Vocabulary, pattern: str) -> Grammar:
    """Compile a regular expression.

    Raises:
        InvalidConstraintError: it is none, matches nothing, or is too large.
    """
    return Grammar(vocabulary, _checked(vocabulary, LLMatcher.grammar_from_regex(pattern)))


def json_grammar(vocabulary: Vocabulary, text: str) -> Grammar:
    """Compile a JSON schema. Documents are written without white space.

    Raises:
        InvalidConstraintError: it is no schema, is not supported, or no document of it is found.
    """
    schema = _schema(text)
    start = _checked(vocabulary, _json_grammar(schema))
    try:
        options = SchemaOptions(schema)
        definitions = {key: schema[key] for key in _DEFINITIONS if key in schema}
        instances = MinimalInstances(
            options, schema, lambda part, value: _accepts(vocabulary, definitions, part, value)
        )
        shortest = instances.of(schema)
        longest = longest_text(options, schema)
    except (RecursionError, TypeError, AttributeError, LookupError) as error:
        raise InvalidConstraintError(
            f'constraint: the schema cannot be read ({type(error).__name__}: {error})'
        ) from error
    if shortest is None or not vocabulary.accepts(start, shortest.text):
        found = f', {_shortened(shortest.text)!r} is none' if shortest else ''
        raise InvalidConstraintError(
            f'constraint: no document of the schema could be found{found}'
        )
    closings = JsonClosings(schema, options, instances)
    return Grammar(vocabulary, start, closings, shortest, longest + 1 if longest else 0)


def _schema(text: str) -> dict[str, Any]:
    try:
        schema = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InvalidConstraintError(f'constraint is not JSON: {error}') from error
    if not isinstance(schema, dict):
        raise InvalidConstraintError(
            f'constraint must be a JSON object, got {_shortened(json.dumps(schema))}'
        )
    # The asker's options of the library: its white space, say.
    return {key: value for key, value in schema.items() if key != 'x-guidance'}


def _refuse(name: str) -> None:
    raise ValueError(f'{name} is no number')


def _json_grammar(schema: dict[str, Any]) -> str:
    try:
        return str(LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=_OVERRIDES))
    except (ValueError, RecursionError) as error:
        raise InvalidConstraintError(f'constraint cannot be used: {error}') from error


def _checked(vocabulary: Vocabulary, grammar: str) -> LLMatcher:
    matcher = vocabulary.matcher(grammar)
    first = matcher.deep_copy()
    # Some limits, and that nothing fits, are met only here.
    if not first.is_error() and not any(first.compute_bitmask()):
        raise InvalidConstraintError('constraint cannot be used: no text fits it')
    if first.is_error():
        raise InvalidConstraintError(f'constraint cannot be used: {error_of(first)}')
    return matcher


def error_of(matcher: LLMatcher) -> str:
    """Return why a matcher is in error, as a clause."""
    detail = ' '.join(str(matcher.get_error()).replace('<non-verbose/>', '').split())
    return 'no text fits it' if detail.startswith('NoExtension') else _shortened(detail)


def _accepts(vocabulary: Vocabulary, definitions: dict[str, Any], schema: Any, text: str) -> bool:
    if not isinstance(schema, dict):
        return True
    matcher = vocabulary.matcher(_json_grammar({**definitions, **schema}))
    return not matcher.is_error() and vocabulary.accepts(matcher, text)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_DETAIL else f'{text[:_LONGEST_DETAIL]}...'
