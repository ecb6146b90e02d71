"""A model's thinking is told apart from its answer, however the tags come."""

import random

import pytest
from tokenizers import AddedToken, Tokenizer

from support.built_in_tokenizer import built_in_tokenizer
from timebill_ros.inference.loading.thinking_tags import ThinkingTags
from timebill_ros.inference.text_stream import TextStream
from timebill_ros.inference.thinking_stream import ThinkingStream, answer_stream

TAGS = ThinkingTags(is_open=False, hidden={})
OPEN = ThinkingTags(is_open=True, hidden={})


@pytest.fixture(scope='module')
def tokenizer() -> Tokenizer:
    fast = built_in_tokenizer()
    return Tokenizer.from_str(fast.backend_tokenizer.to_str())


def told_apart(tokenizer: Tokenizer, tags: ThinkingTags, ids: list[int]) -> tuple[str, int]:
    """Return the text, and the number of tokens that are thinking."""
    stream = ThinkingStream(tokenizer, tags)
    text = ''.join([*(stream.add(token_id) for token_id in ids), stream.end()])
    return text, stream.thinking_tokens


def ids_of(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def one_by_one(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return a token for each character."""
    return [token_id for character in text for token_id in ids_of(tokenizer, character)]


THOUGHT = [
    ('<think>I see 3 < 4.</think>\n\nGo left.', 'Go left.'),
    ('\n<think>\n\n</think>\n\nGo left.', 'Go left.'),
    ('<think>é漢🤖</think>🤖 é', '🤖 é'),
    ('<think>a</think>b <think>c</think> d', 'b <think>c</think> d'),
    ('<think>a</thin</think> \n', ''),
    ('<think>still at it </thin', ''),
]


@pytest.mark.parametrize(('answer', 'text'), THOUGHT)
@pytest.mark.parametrize('split', [ids_of, one_by_one])
@pytest.mark.parametrize('is_open', [False, True])
def test_thinking_is_not_in_the_text_however_its_tags_are_split(
    tokenizer: Tokenizer, answer: str, text: str, split, is_open: bool
) -> None:
    tags = OPEN if is_open else TAGS
    answer = answer.lstrip().removeprefix('<think>') if is_open else answer
    assert told_apart(tokenizer, tags, split(tokenizer, answer))[0] == text


PLAIN = [
    *('', 'Go left.', ' \n ', '  <', '<thin', ' <thinking> a'),
    *('a <think>b</think> c', '</think>'),
]


@pytest.mark.parametrize('answer', PLAIN)
@pytest.mark.parametrize('split', [ids_of, one_by_one])
def test_an_answer_without_thinking_is_whole(tokenizer: Tokenizer, answer: str, split) -> None:
    assert told_apart(tokenizer, TAGS, split(tokenizer, answer)) == (answer, 0)


def test_tokens_are_thinking_up_to_the_closing_tag(tokenizer: Tokenizer) -> None:
    before, after = one_by_one(tokenizer, '<think>ab</think>'), one_by_one(tokenizer, '\n\nGo.')
    assert told_apart(tokenizer, TAGS, before + after) == ('Go.', len(before))
    stream = ThinkingStream(tokenizer, TAGS)
    counts = []
    for token_id in before + after:
        stream.add(token_id)
        counts.append(stream.thinking_tokens)
    opening = len('<think>')
    assert counts[: opening - 1] == [0] * (opening - 1)  # it may still be an answer
    assert counts[opening - 1 : len(before)] == list(range(opening, len(before) + 1))
    assert set(counts[len(before) :]) == {len(before)}


def test_text_comes_as_soon_as_it_is_known_to_be_the_answer(tokenizer: Tokenizer) -> None:
    stream = ThinkingStream(tokenizer, OPEN)
    pieces = [stream.add(i) for i in one_by_one(tokenizer, 'a</think> Go.')]
    assert pieces[-3:] == ['G', 'o', '.']


@pytest.mark.parametrize('special', [False, True])
def test_tags_that_are_tokens_may_be_special(tokenizer: Tokenizer, special: bool) -> None:
    own = Tokenizer.from_str(tokenizer.to_str())
    tokens = [AddedToken(tag, special=special) for tag in ('<think>', '</think>')]
    (own.add_special_tokens if special else own.add_tokens)(tokens)
    hidden = {own.token_to_id(token.content): token.content for token in tokens if special}
    ids = ids_of(own, '<think>\nHm.\n</think>\n\nGo <think> left.')
    text, thinking = told_apart(own, ThinkingTags(is_open=False, hidden=hidden), ids)
    assert text == ('Go  left.' if special else 'Go <think> left.')
    assert own.decode(ids[:thinking], skip_special_tokens=False).endswith('</think>')


def test_a_model_without_tags_has_a_plain_stream(tokenizer: Tokenizer) -> None:
    assert type(answer_stream(tokenizer, None)) is TextStream
    assert type(answer_stream(tokenizer, TAGS)) is ThinkingStream


def test_random_answers_are_as_from_a_plain_stream(tokenizer: Tokenizer) -> None:
    chance = random.Random(0)
    for _ in range(50):
        ids = [chance.randrange(tokenizer.get_vocab_size()) for _ in range(60)]
        stream = TextStream(tokenizer)
        plain = ''.join([*(stream.add(token_id) for token_id in ids), stream.end()])
        assert told_apart(tokenizer, TAGS, ids) == (plain, 0)
