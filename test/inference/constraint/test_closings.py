"""At every moment of an answer there is a closing, and it gives a document of the schema."""

import json
import random
import re
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
import torch

from support.tiny_models import NEVER
from timebill_ros.core.constraint import Closing, InvalidConstraintError
from timebill_ros.inference.constraint.grammar import Grammar, json_grammar
from timebill_ros.inference.constraint.guide import Guide
from timebill_ros.inference.constraint.shortest_match import shortest_match
from timebill_ros.inference.constraint.vocabulary import Vocabulary
from timebill_ros.inference.mean_probability import MeanProbability
from timebill_ros.inference.repetition import RepetitionPenalty

SCHEMAS = 40
MOST_TOKENS = 50
NOT_THINKING: Any = SimpleNamespace(is_thinking=False)
NO_STEP: Any = None


def random_schema(chance: random.Random, depth: int = 3) -> dict[str, Any]:
    kinds = ['string', 'integer', 'number', 'boolean', 'null', 'enum', 'const']
    kind = chance.choice([*kinds, *(['object'] * 4 + ['array'] * 3 if depth else [])])
    if kind == 'object':
        names = [f'{chance.choice("xyz")}{index}' for index in range(chance.randint(0, 4))]
        properties = {name: random_schema(chance, depth - 1) for name in names}
        required = [name for name in names if chance.random() < 0.6]
        return {
            'type': 'object',
            'properties': properties,
            'required': required,
            'additionalProperties': False,
        }
    if kind == 'array':
        least = chance.randint(0, 3)
        items = random_schema(chance, depth - 1)
        return {'type': 'array', 'items': items, 'minItems': least, 'maxItems': least + 2}
    if kind == 'enum':
        return {'enum': chance.sample(['on', 'off', 7, None, 'a "b" \\ c', 'Zürich', 1.5], 3)}
    if kind == 'const':
        return {'const': chance.choice(['fixed', 3, True])}
    plain: dict[str, Any] = {'type': kind}
    if kind == 'integer' and chance.random() < 0.5:
        low = chance.randint(-50, 50)
        plain |= {'minimum': low, 'maximum': low + chance.randint(0, 30)}
    if kind == 'string' and chance.random() < 0.5:
        plain |= {'minLength': chance.randint(0, 4), 'maxLength': 8}
    if kind == 'string' and chance.random() < 0.2:
        plain = {'type': 'string', 'pattern': '^[A-Z]{2}-[0-9]{1,3}$'}
    if kind in ('integer', 'string') and len(plain) == 1 and chance.random() < 0.3:
        plain['default'] = 5 if kind == 'integer' else 'usual'
    return plain


def check(schema: Any, text: str, closing: Closing | None) -> None:
    """Fail unless the closing makes a document of a text, and names what it has filled."""
    assert closing is not None, text
    document = json.loads(text[: closing.safe_length] + closing.text)
    jsonschema.validate(document, schema)
    assert set(closing.invented) <= set(closing.filled)
    for pointer in closing.filled:
        value = document
        for part in pointer.split('/')[1:]:
            part = part.replace('~1', '/').replace('~0', '~')
            value = value[int(part) if isinstance(value, list) else part]
        assert value in ({}, []) or not isinstance(value, dict | list), pointer


def written(guide: Guide, ids: list[int]) -> str:
    return ''.join(guide.piece() for _ in ids)


def next_ids(guide: Guide, logits: torch.Tensor) -> list[int]:
    penalty = RepetitionPenalty(1.0, torch.zeros(0, dtype=torch.int64))
    return guide.next(logits, penalty, MeanProbability(), NO_STEP, NEVER)


def answered(grammar: Grammar, chance: random.Random, schema: Any) -> str:
    """Answer at random, check each moment; return the text."""
    guide, text, position = Guide(grammar, NOT_THINKING), '', 0
    stops = grammar.vocabulary.stop_token_ids
    draw = torch.Generator().manual_seed(chance.randrange(1 << 30))
    check(schema, text, guide.closing)
    for _ in range(MOST_TOKENS):
        logits = torch.randn(grammar.vocabulary.size, generator=draw)
        logits[list(grammar.vocabulary.signs.values())] += 4.0  # few tokens of many letters
        ids = guide.forced() or next_ids(guide, logits)
        text += written(guide, ids)
        closing = guide.closing
        check(schema, text, closing)
        assert closing is not None and closing.safe_length >= position
        position = closing.safe_length
        if stops & set(ids):
            jsonschema.validate(json.loads(text), schema)
            return text
    return text


@pytest.mark.parametrize('seed', range(SCHEMAS))
def test_an_answer_can_be_closed_after_each_token(vocabulary: Vocabulary, seed: int) -> None:
    chance = random.Random(seed)
    schema = random_schema(chance)
    grammar = json_grammar(vocabulary, json.dumps(schema))
    for _ in range(3):
        answered(grammar, chance, schema)


DOCUMENTS = [
    (
        {
            'type': 'object',
            'properties': {
                'action': {'enum': ['go', 'grasp', 'stop']},
                'to': {
                    'type': 'object',
                    'properties': {'x': {'type': 'number'}, 'y': {'type': 'number'}},
                    'required': ['x', 'y'],
                },
                'why': {'type': 'string'},
            },
            'required': ['action', 'to', 'why'],
        },
        {'action': 'grasp', 'to': {'x': -1.25, 'y': 3e7}, 'why': 'the "cup" is near/here'},
    ),
    (
        {
            'type': 'array',
            'minItems': 2,
            'items': {
                'anyOf': [{'type': 'null'}, {'type': 'array', 'items': {'type': 'integer'}}]
            },
        },
        [None, [1, -2, 30], [], [0]],
    ),
    ({'type': 'string', 'minLength': 3, 'maxLength': 9}, 'a\\b\t"c"'),
]


@pytest.mark.parametrize(('schema', 'document'), DOCUMENTS)
def test_a_document_can_be_closed_after_each_of_its_characters(
    vocabulary: Vocabulary, schema: Any, document: Any
) -> None:
    whole = json.dumps(document, separators=(',', ':'))
    guide, text = Guide(json_grammar(vocabulary, json.dumps(schema)), NOT_THINKING), ''
    while len(text) < len(whole):
        ids = guide.forced()
        if not ids:
            logits = torch.zeros(vocabulary.size)
            logits[vocabulary.signs[whole[len(text)]]] = 9.0
            ids = next_ids(guide, logits)
        text += written(guide, ids)
        assert whole.startswith(text)
        check(schema, text, guide.closing)
    closing = guide.closing
    assert closing is not None and whole[: closing.safe_length] + closing.text == whole
    assert not closing.filled


STRINGS = [
    {'type': 'string', 'minLength': 12, 'maxLength': 30},
    {'type': 'string', 'pattern': '^[a-z]+( [a-z]+)*!$'},
    {'type': 'string', 'format': 'date-time'},
    {'enum': ['the left door', 'the left', 'the']},
    {'anyOf': [{'const': 'the red door'}, {'type': 'string', 'maxLength': 7}]},
    {'anyOf': [{'type': 'string', 'maxLength': 3}, {'type': 'array', 'items': {'type': 'null'}}]},
]


@pytest.mark.parametrize('string', STRINGS)
@pytest.mark.parametrize('seed', range(4))
def test_a_string_that_is_bounded_can_be_closed_wherever_it_stands(
    vocabulary: Vocabulary, string: Any, seed: int
) -> None:
    pair = {'type': 'object', 'properties': {'a': string, 'b': string}, 'required': ['b', 'a']}
    named = {'type': 'object', 'patternProperties': {'^[ab]$': string}, 'minProperties': 1}
    chance = random.Random(seed)
    for schema in (
        string,
        {'type': 'array', 'items': string, 'minItems': 2, 'maxItems': 3},
        {**pair, 'additionalProperties': False},
        {**named, 'additionalProperties': False},
    ):
        try:
            grammar = json_grammar(vocabulary, json.dumps(schema))
        except InvalidConstraintError:
            continue
        answered(grammar, chance, schema)


TEXTS = [
    r'{"a":"Ein Weg über Zürich, 東京 and 🤖🦾!","b":[""," ","  two  words","a\"b\u0007 c"]}',
    r'{"a":"🤖","b":["é","e\t\n\\","  "]}',
]


@pytest.mark.parametrize('whole', TEXTS)
def test_texts_of_many_bytes_and_escapes_can_be_closed_after_each_token(
    vocabulary: Vocabulary, whole: str
) -> None:
    schema = {
        'type': 'object',
        'properties': {
            'a': {'type': 'string'},
            'b': {'type': 'array', 'items': {'type': 'string', 'maxLength': 20}},
        },
        'required': ['a', 'b'],
        'additionalProperties': False,
    }
    guide, text = Guide(json_grammar(vocabulary, json.dumps(schema)), NOT_THINKING), ''
    content, lengths = whole.encode(), []
    while content:
        ids = guide.forced()
        if not ids:
            logits = torch.zeros(vocabulary.size)
            logits[vocabulary.tokens.tokenize_bytes(content)[0]] = 9.0
            ids = next_ids(guide, logits)
        text += written(guide, ids)
        taken = vocabulary.tokens.decode_bytes(ids)
        assert content.startswith(taken)
        content = content[len(taken) :]
        check(schema, text, guide.closing)
        assert guide.closing is not None
        lengths.append(guide.closing.safe_length)
    assert text == whole and lengths == sorted(lengths) and lengths[-1] == len(whole)
    assert len(set(lengths)) > 8


@pytest.mark.parametrize(
    'pattern',
    [
        'abc',
        '[a-f0-9]{8}',
        '(north|south|up)-[0-9]+',
        r'\d{4}-\d{2}-\d{2}',
        '[^a-z,]+x?',
        r'(ab|c){3}d*',
        r'\w+@\w+\.(com|org)',
        '(|long)end',
        '.{5}',
        r'[\s]',
        '(?:x(?:y(?:z)))',
    ],
)
def test_a_short_match_is_one(pattern: str) -> None:
    found = shortest_match(pattern)
    assert found is not None and re.fullmatch(pattern, found)


@pytest.mark.parametrize('pattern', [r'(a)\1', '(?=a)b', '(', 'a{5000}'])
def test_of_what_is_not_read_there_is_no_short_match(pattern: str) -> None:
    assert shortest_match(pattern) is None
