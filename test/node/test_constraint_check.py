"""The constraint fields of a query: what is taken, and the sentence of what is not."""

from typing import Any

import pytest

from timebill_ros.core.constraint import Constraint, ConstraintKind
from timebill_ros.node.constraint_check import MAX_BYTES, MAX_CHOICES, checked_constraint

NONE, JSON_SCHEMA, REGEX, CHOICES = ConstraintKind


def checked(
    constraint_kind: int = NONE,
    constraint: str = '',
    choices: Any = (),
    fill_missing: bool = False,
) -> Constraint | None:
    return checked_constraint(constraint_kind, constraint, choices, fill_missing)


def test_without_a_kind_the_answer_is_free_text() -> None:
    assert checked() is None


@pytest.mark.parametrize(
    ('fields', 'constraint'),
    [
        (
            {'constraint_kind': 1, 'constraint': '{}', 'fill_missing': True},
            Constraint(JSON_SCHEMA, '{}', fill_missing=True),
        ),
        ({'constraint_kind': 2, 'constraint': 'a+'}, Constraint(REGEX, 'a+')),
        (
            {'constraint_kind': 2, 'constraint': 'a' * MAX_BYTES},
            Constraint(REGEX, 'a' * MAX_BYTES),
        ),
        (
            {'constraint_kind': 3, 'choices': ['GO', 'GO LEFT', 'go']},
            Constraint(CHOICES, choices=('GO', 'GO LEFT', 'go')),
        ),
        (
            {'constraint_kind': 3, 'choices': [str(n) for n in range(MAX_CHOICES)]},
            Constraint(CHOICES, choices=tuple(str(n) for n in range(MAX_CHOICES))),
        ),
    ],
)
def test_what_an_asker_may_say_is_taken(fields: dict[str, Any], constraint: Constraint) -> None:
    assert checked(**fields) == constraint


KINDS = 'NONE (0), JSON_SCHEMA (1), REGEX (2), CHOICES (3)'
REFUSED = {
    'an unknown kind': ({'constraint_kind': 7}, f'constraint_kind must be one of {KINDS}, got 7'),
    'both kinds': (
        {'constraint_kind': 3, 'constraint': 'ä+', 'choices': ['GO', 'STOP']},
        'constraint and choices exclude each other, got a constraint of 3 bytes and 2 choices',
    ),
    'both kinds and none': (
        {'constraint': 'a+', 'choices': ['GO']},
        'constraint and choices exclude each other, got a constraint of 2 bytes and 1 choices',
    ),
    'a constraint without a kind': (
        {'constraint': 'a+'},
        'constraint must be empty for constraint_kind NONE (0), got 2 bytes',
    ),
    'choices without a kind': (
        {'choices': ['GO']},
        'choices must be empty for constraint_kind NONE (0), got 1',
    ),
    'a schema that is none': (
        {'constraint_kind': 1, 'constraint': ' \n'},
        'constraint must not be empty for constraint_kind JSON_SCHEMA (1)',
    ),
    'an expression that is none': (
        {'constraint_kind': 2},
        'constraint must not be empty for constraint_kind REGEX (2)',
    ),
    'choices for a schema': (
        {'constraint_kind': 1, 'choices': ['GO']},
        'constraint must not be empty for constraint_kind JSON_SCHEMA (1)',
    ),
    'a constraint for choices': (
        {'constraint_kind': 3, 'constraint': 'GO|STOP'},
        'constraint must be empty for constraint_kind CHOICES (3), got 7 bytes',
    ),
    'one megabyte': (
        {'constraint_kind': 1, 'constraint': '{"x": "' + 'x' * 10**6 + '"}'},
        'constraint must be at most 65536 bytes, got 1000009',
    ),
    'no choices': ({'constraint_kind': 3}, 'choices must be 1 to 256 strings, got 0'),
    'a thousand choices': (
        {'constraint_kind': 3, 'choices': [str(n) for n in range(1000)]},
        'choices must be 1 to 256 strings, got 1000',
    ),
    'an empty choice': (
        {'constraint_kind': 3, 'choices': ['GO', ' ']},
        "choices must not be empty, got ' ' at 1",
    ),
    'the same twice': (
        {'constraint_kind': 3, 'choices': ['GO', 'STOP', 'GO']},
        "choices must differ, got 'GO' at 0 and at 2",
    ),
    'long choices': (
        {'constraint_kind': 3, 'choices': ['a' * 40000, 'ä' * 20000]},
        'choices must be at most 65536 bytes together, got 80000',
    ),
    'nothing to fill in': (
        {'constraint_kind': 2, 'constraint': 'a+', 'fill_missing': True},
        'fill_missing must be false for constraint_kind REGEX (2), got true',
    ),
    'nothing to fill in of free text': (
        {'fill_missing': True},
        'fill_missing must be false for constraint_kind NONE (0), got true',
    ),
}


@pytest.mark.parametrize('case', REFUSED)
def test_what_is_refused_is_told_the_field_the_value_and_the_bound(case: str) -> None:
    fields, sentence = REFUSED[case]
    with pytest.raises(ValueError) as refused:
        checked(**fields)
    assert str(refused.value) == sentence
