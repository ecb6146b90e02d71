"""A call is right if bfcl-eval takes it for right."""

import json
from typing import Any

import pytest

from benchmark.budgets.tasks.call_grade import ExpectedCall, closed_call, is_accepted

PARAMETERS = {
    'type': 'dict',
    'properties': {
        'city': {'type': 'string'},
        'days': {'type': 'integer'},
        'speed': {'type': 'float'},
    },
    'required': ['city'],
}
CALL = ExpectedCall(
    {'name': 'weather.get', 'parameters': PARAMETERS},
    {'city': ['New York, NY', 'NYC'], 'days': [3, ''], 'speed': ['', 1.5]},
)


def written(name: str, **arguments: Any) -> str:
    return json.dumps({'name': name, 'arguments': arguments}, separators=(',', ':'))


@pytest.mark.parametrize(
    ('answer', 'right'),
    [
        (written('weather.get', city='NYC'), True),
        (written('weather.get', city='new york NY', days=3, speed=1.5), True),
        (written('weather.get', city='Boston'), False),
        (written('weather_get', city='NYC'), False),
        (written('weather.get', city='NYC', days=4), False),
        (written('weather.get', city='NYC', days='3'), False),
        (written('weather.get', city='NYC', hours=3), False),
        (written('weather.get', days=3), False),
        ('', False),
        ('NYC', False),
        ('{"name":"weather.get"}', False),
    ],
)
def test_a_call_needs_the_name_and_an_accepted_value_of_each_argument(
    answer: str, right: bool
) -> None:
    assert CALL.grade(answer) == float(right)


def test_an_argument_may_be_absent_only_if_that_is_accepted() -> None:
    strict = ExpectedCall(CALL.function, {**CALL.arguments, 'days': [3]})
    assert strict.grade(written('weather.get', city='NYC')) == 0.0
    assert strict.grade(written('weather.get', city='NYC', days=3)) == 1.0


@pytest.mark.parametrize(
    ('value', 'described', 'accepted', 'right'),
    [
        ("it's 5 o'clock, now.", {'type': 'string'}, ['It"s 5 o"clock now'], True),
        (5, {'type': 'float'}, [5.0], True),
        (5.0, {'type': 'integer'}, [5], False),
        (True, {'type': 'integer'}, [1], False),
        (True, {'type': 'boolean'}, [True], True),
        ('x', {'type': 'integer'}, ['x'], True),  # a variable
        ('X', {'type': 'integer'}, ['x'], False),
        (['A b', 'c'], {'type': 'array', 'items': {'type': 'string'}}, [['ab', 'C']], True),
        (['c', 'ab'], {'type': 'array', 'items': {'type': 'string'}}, [['ab', 'c']], False),
        ([1, 2], {'type': 'array', 'items': {'type': 'float'}}, [[1, 2]], True),
        ([1, 2], {'type': 'array', 'items': {'type': 'float'}}, [[1.0, 2.0]], False),
        ({'a': 'X y'}, {'type': 'dict'}, [{'a': ['xy'], 'b': ['', 1]}], True),
        ({'a': 'xy', 'c': 1}, {'type': 'dict'}, [{'a': ['xy']}], False),
        ({}, {'type': 'dict'}, [{'a': ['xy']}], False),
        (
            [{'a': 1}, {'a': 2}],
            {'type': 'array', 'items': {'type': 'dict'}},
            [[{'a': [1]}, {'a': [2, 3]}]],
            True,
        ),
        (
            [{'a': 1}],
            {'type': 'array', 'items': {'type': 'dict'}},
            [[{'a': [1]}, {'a': [2]}]],
            False,
        ),
    ],
)
def test_values_are_compared_by_their_type(
    value: Any, described: dict[str, Any], accepted: list[Any], right: bool
) -> None:
    assert is_accepted(value, described, accepted) == right


def test_a_call_that_is_cut_off_ends_behind_its_last_whole_value() -> None:
    whole = written('weather.get', city='NYC', days=3)
    assert CALL.grade(whole[:-2]) == 1.0
    assert CALL.grade(whole[: whole.index(',"days') + 4]) == 1.0
    assert CALL.grade(whole[: whole.index('YC"')]) == 0.0
    assert closed_call('{"a":[1,23') == {'a': [1]}
    assert closed_call('{"a":"b c') is None
