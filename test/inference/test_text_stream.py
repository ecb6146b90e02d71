"""Tokens to text while they come."""

import pytest
from tokenizers import Tokenizer

from support.built_in_tokenizer import built_in_tokenizer
from timebill_ros.inference.text_stream import TextStream


@pytest.fixture(scope='module')
def tokenizer() -> Tokenizer:
    fast = built_in_tokenizer()
    return Tokenizer.from_str(fast.backend_tokenizer.to_str())


TEXTS = ['plain words, 12.5 m', '🤖🦾 漢字 é́ \U00010348', 'a\n\n  b\t', '\u202eabc', 'x' * 50]


@pytest.mark.parametrize('text', TEXTS)
def test_pieces_joined_are_the_text_and_no_piece_is_half_a_character(
    tokenizer: Tokenizer, text: str
) -> None:
    stream = TextStream(tokenizer)
    pieces = [stream.add(i) for i in tokenizer.encode(text, add_special_tokens=False).ids]
    assert '\ufffd' not in ''.join(pieces)
    assert ''.join([*pieces, stream.end()]) == text


def test_special_tokens_are_not_shown(tokenizer: Tokenizer) -> None:
    stream = TextStream(tokenizer)
    ids = [*tokenizer.encode('Hi', add_special_tokens=False).ids, 2, 1]
    assert ''.join([*(stream.add(i) for i in ids), stream.end()]) == 'Hi'


def test_bytes_that_never_become_a_character_are_dropped(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode('ok 🤖', add_special_tokens=False).ids
    stream = TextStream(tokenizer)
    pieces = [stream.add(i) for i in ids[:-1]]
    assert ''.join([*pieces, stream.end()]) == 'ok '
