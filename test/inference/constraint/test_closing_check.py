"""A text ends an answer if the whole is a document to a matcher that reads it from the start."""

import json
import random
from typing import Any

import pytest

from timebill_ros.inference.constraint.closing_check import ClosingCheck
from timebill_ros.inference.constraint.grammar import Grammar, json_grammar, regex_grammar
from timebill_ros.inference.constraint.vocabulary import Vocabulary
from timebill_ros.inference.constraint.written import Written

SCHEMA = {
    'type': 'object',
    'properties': {
        'go': {'enum': ['to the door', 'to the', 'home']},
        'say': {'type': 'string', 'minLength': 4, 'maxLength': 24},
        'far': {'type': 'array', 'items': {'type': 'integer', 'maximum': 120}, 'minItems': 1},
    },
    'required': ['go', 'say', 'far'],
    'additionalProperties': False,
}
DOCUMENT = '{"go":"to the door","say":"Grüße an 🤖 \\"B\\"!","far":[1,120,-7]}'
ENDS = ['', '"', '}', '"}', ']}', '0]}', '","say":"----","far":[0]}', '","far":[0]}']
ENDS += [',"far":[0]}', ',"say":"----","far":[0]}', '{"go":"home","say":"----","far":[0]}']


def is_document(grammar: Grammar, text: str) -> bool:
    """Return whether a new matcher takes a text, and nothing is missing then."""
    tokens = grammar.vocabulary.tokens.tokenize_str(text)
    matcher = grammar.start.deep_copy()
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


def tokens_of(vocabulary: Vocabulary, text: str, chance: random.Random) -> list[int]:
    """Return tokens of a text that is cut into random pieces, some of them within a character."""
    content, ids = text.encode(), []
    while content:
        size = chance.randint(1, 6)
        ids += vocabulary.tokens.tokenize_bytes(content[:size])
        content = content[size:]
    return ids


@pytest.mark.parametrize('seed', range(4))
def test_a_check_says_what_a_matcher_of_the_whole_text_says(
    vocabulary: Vocabulary, seed: int
) -> None:
    grammar, chance = json_grammar(vocabulary, json.dumps(SCHEMA)), random.Random(seed)
    written = Written(vocabulary)
    check = ClosingCheck(vocabulary, grammar.start, written)
    found = []
    for token_id in tokens_of(vocabulary, DOCUMENT, chance):
        written.add(token_id)
        for back in (0, chance.randint(0, 5), chance.randint(0, 20)):  # also to and fro
            position = max(0, len(written.text) - back)
            for end in ENDS:
                found.append(check.ends(position, end))
                assert found[-1] == is_document(grammar, written.text[:position] + end)
    assert written.text == DOCUMENT
    assert 20 < sum(found) < len(found) / 2


def test_a_check_of_a_regular_expression_is_one_of_its_whole_text(vocabulary: Vocabulary) -> None:
    grammar = regex_grammar(vocabulary, '(go|stop) to [a-z]{4,8} [0-9]{2}')
    written = Written(vocabulary)
    check = ClosingCheck(vocabulary, grammar.start, written)
    for token_id in vocabulary.tokens.tokenize_str('stop to there 42'):
        written.add(token_id)
        for end in ('', '2', ' 42', ' there 42', 'ere 42', ' to aaaa 00'):
            assert check.ends(len(written.text), end) == is_document(grammar, written.text + end)


def test_a_check_leaves_the_matcher_of_the_answer_as_it_is(vocabulary: Vocabulary) -> None:
    grammar = json_grammar(vocabulary, json.dumps(SCHEMA))
    matcher, written = grammar.start.deep_copy(), Written(vocabulary)
    check = ClosingCheck(vocabulary, grammar.start, written)
    for token_id in vocabulary.tokens.tokenize_str(DOCUMENT):
        before = matcher.compute_bitmask()
        assert check.ends(len(written.text), 'x') is False
        check.ends(len(written.text), '","say":"----","far":[0]}')
        assert matcher.compute_bitmask() == before
        assert matcher.consume_token(token_id)
        written.add(token_id)
    assert matcher.is_accepting() and check.ends(len(DOCUMENT), '')


def test_whole_tokens_end_where_a_character_does(vocabulary: Vocabulary) -> None:
    written: Any = Written(vocabulary)
    pieces = [
        written.add(token_id)
        for part in (b'ab', b'\xf0', b'\x9f\xa4', b'\x96', b'c')
        for token_id in vocabulary.tokens.tokenize_bytes(part)
    ]
    assert ''.join(pieces) == written.text == 'ab\U0001f916c'
    ends = [0]
    for token_id, piece in zip(written.ids, pieces, strict=True):
        assert token_id >= 0
        ends.append(ends[-1] + len(piece))
    assert written.whole_tokens(0) == (0, 0)
    assert written.whole_tokens(2)[1] == 2 and written.whole_tokens(2)[0] < 3
    assert written.whole_tokens(3) == (len(written.ids) - 1, 3)
    assert written.whole_tokens(4) == (len(written.ids), 4)
