"""The form of an answer: what becomes of an asker's arguments, and how the answer is read."""

import dataclasses
import json
from typing import Any, Literal

import pytest

import timebill_ros.msg as msg
from timebill_ros.client.answer_form import FREE_TEXT, answer_form


@dataclasses.dataclass
class Step:
    move: Literal['LEFT', 'RIGHT']
    metres: float = 0.5


@dataclasses.dataclass
class Plan:
    steps: list[Step]
    why: str


SCHEMA = {'type': 'object', 'properties': {'x': {'type': 'integer'}}, 'required': ['x']}


def written(**arguments: Any) -> msg.Query:
    query = msg.Query()
    answer_form(**arguments).write(query)
    return query


def test_without_arguments_the_answer_is_free_text() -> None:
    assert answer_form() is FREE_TEXT
    assert written() == msg.Query()
    assert FREE_TEXT.parsed('{"x": 1}') is None


def test_choices_are_sent_as_they_are() -> None:
    query = written(choices=('GO', 'STOP'))
    assert (query.constraint_kind, list(query.choices)) == (msg.Query.CHOICES, ['GO', 'STOP'])
    assert answer_form(choices=['1', '2']).parsed('1') is None


def test_a_regular_expression_is_sent_as_it_is() -> None:
    query = written(regex=r'\d+ m')
    assert (query.constraint_kind, query.constraint) == (msg.Query.REGEX, r'\d+ m')
    assert answer_form(regex=r'\d+').parsed('1') is None


def test_a_schema_is_sent_as_json_and_the_answer_read_as_an_object() -> None:
    query = written(json_schema=SCHEMA, fill_missing=True)
    assert (query.constraint_kind, query.fill_missing) == (msg.Query.JSON_SCHEMA, True)
    assert json.loads(query.constraint) == SCHEMA
    assert answer_form(json_schema=SCHEMA).parsed('{"x": 1}') == {'x': 1}


def test_a_dataclass_is_sent_as_its_schema_and_the_answer_read_as_an_instance() -> None:
    definitions = json.loads(written(json_schema=Plan).constraint)['$defs']
    assert definitions['Plan']['required'] == ['steps', 'why']
    assert definitions['Step']['properties']['move'] == {'enum': ['LEFT', 'RIGHT']}
    assert all(definition['additionalProperties'] is False for definition in definitions.values())
    text = '{"steps": [{"move": "LEFT"}], "why": "a door"}'
    assert answer_form(json_schema=Plan).parsed(text) == Plan([Step('LEFT', 0.5)], 'a door')


@pytest.mark.parametrize('text', ['{"steps": [{"move": "UP"}], "why": ""}', '{"steps": [', ''])
def test_an_answer_without_the_form_is_said_so(text: str) -> None:
    with pytest.raises(ValueError, match='does not have the form of json_schema: '):
        answer_form(json_schema=Plan).parsed(text)


@dataclasses.dataclass
class Odd:
    lock: complex | object


@dataclasses.dataclass
class Unknown:
    # What nobody has defined, on purpose.
    lock: 'Nowhere'  # type: ignore[name-defined]  # noqa: F821


CIRCLE: dict[str, Any] = {}
CIRCLE['self'] = CIRCLE
REFUSED = {
    'two forms': (
        {'choices': ['a'], 'regex': 'a'},
        "only one of json_schema, regex and choices may be set, got ['regex', 'choices']",
    ),
    'a schema as text': (
        {'json_schema': '{}'},
        "json_schema must be a dict or a dataclass, got '{}'",
    ),
    'an instance': (
        {'json_schema': Step('LEFT')},
        "json_schema must be a dict or a dataclass, got Step(move='LEFT', metres=0.5)",
    ),
    'a class that is none': (
        {'json_schema': int},
        'json_schema must be a dict or a dataclass, got',
    ),
    'fields without a schema': (
        {'json_schema': Odd},
        'json_schema cannot be made of the dataclass Odd: ',
    ),
    'an unknown type': (
        {'json_schema': Unknown},
        "json_schema cannot be made of the dataclass Unknown: name 'Nowhere' is not defined",
    ),
    'no JSON': ({'json_schema': {'enum': [{1}]}}, 'json_schema cannot be written as JSON: '),
    'no number': (
        {'json_schema': {'const': float('nan')}},
        'json_schema cannot be written as JSON: ',
    ),
    'a circle': ({'json_schema': CIRCLE}, 'json_schema cannot be written as JSON: Circular'),
    'an empty expression': ({'regex': ' '}, "regex must be a regular expression, got ' '"),
    'half a character': ({'regex': 'a\ud800'}, "regex must be Unicode text, got '\\ud800' at 1"),
    'one string': ({'choices': 'GO'}, "choices must be a list of strings, got 'GO'"),
    'numbers': ({'choices': [1, 2]}, 'choices must be a list of strings, got [1, 2]'),
    'no choices': ({'choices': []}, 'choices must not be empty'),
    'an empty choice': ({'choices': ['a', '']}, "choices must not be empty, got '' at 1"),
    'the same twice': ({'choices': ['a', 'b', 'a']}, "choices must differ, got 'a' twice"),
    'half a choice': ({'choices': ['\ud800']}, "choices[0] must be Unicode text, got '\\ud800'"),
    'nothing to fill': (
        {'regex': 'a', 'fill_missing': True},
        'fill_missing must be False without json_schema, got True',
    ),
}


@pytest.mark.parametrize('case', REFUSED)
def test_what_cannot_be_used_is_refused_with_a_sentence(case: str) -> None:
    arguments, sentence = REFUSED[case]
    with pytest.raises(ValueError) as refused:
        answer_form(**arguments)
    assert str(refused.value).startswith(sentence)
    assert '\n' not in str(refused.value)
