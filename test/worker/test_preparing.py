"""Contexts are read while nothing else is to do, and held."""

import threading

import pytest
import torch

from support.asker import wait_until
from support.tiny_models import CONTEXT_TOKENS, random_prompt, tiny_target
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.length.length_predictor import NoPredictor
from timebill_ros.inference.prefix.prefix_cache import PrefixCache
from timebill_ros.inference.step.native_step import NativeStep
from timebill_ros.worker.intake import Intake
from timebill_ros.worker.preparation import Preparation
from timebill_ros.worker.preparing import CHUNK_TOKENS, Preparing
from timebill_ros.worker.progress import Tokenised
from timebill_ros.worker.protocol import (
    Drop,
    FromWorker,
    Prepare,
    Prepared,
    Submit,
)

TOKENS = CHUNK_TOKENS + 60


class Room:
    """A tiny model that prepares; a context is the seed of its tokens and their number."""

    def __init__(self, limit_bytes: int = 50_000_000) -> None:
        self.engine = Engine(tiny_target('llama'), DecodingSettings())
        self.engine.prefixes = PrefixCache(limit_bytes, self.engine.scorer.window)
        self.preparing = Preparing(self.engine, NoPredictor(), self.ids)

    def ids(self, system_prompt: str, context: str) -> list[int]:
        seed, tokens = context.split()
        return random_prompt(int(tokens), int(seed))

    def prepare(self, context: str, holder: str = 'a') -> Prepared | None:
        return self.preparing.prepare(Preparation(Prepare(1, holder, '', context)))

    def cached(self, context: str) -> int:
        return self.engine.prefixes.cached_tokens([*self.ids('', context), *range(20)])


def test_a_context_is_read_and_held() -> None:
    room = Room()
    prepared = room.prepare(f'1 {TOKENS}')
    assert prepared is not None
    assert (prepared.detail, prepared.tokens) == ('', TOKENS)
    assert prepared.nbytes == TOKENS * 3 * 2 * 2 * 32 * 4  # layers, K and V, heads, size, fp32
    assert prepared.seconds > 0.0
    assert room.cached(f'1 {TOKENS}') == TOKENS
    prompt = [*room.ids('', f'1 {TOKENS}'), *range(20)]
    assert room.engine.begin(prompt, 100).entry is not None  # handed over without a copy


def test_another_of_the_same_holder_takes_its_place_and_nothing_drops_it() -> None:
    room = Room()
    room.prepare('1 100')
    room.prepare('2 100')
    room.prepare('3 100', holder='b')
    pins = {tuple(entry.pins) for entry in room.engine.prefixes._entries}
    assert pins == {(), ('a',), ('b',)}
    message = Prepare(1, 'a', '', '')
    assert room.preparing.prepare(Preparation(message)) == Prepared(1, '')
    pins = {tuple(entry.pins) for entry in room.engine.prefixes._entries}
    assert pins == {(), ('b',)}


def test_one_that_is_interrupted_goes_on_where_it_was() -> None:
    room = Room()
    preparation = Preparation(Prepare(1, 'a', '', f'1 {TOKENS}'))
    step, calls = room.engine.step, list[int]()
    assert isinstance(step, NativeStep)
    embedded = step.embedded

    def interrupting(ids: torch.Tensor) -> torch.Tensor:
        calls.append(len(ids))
        if len(calls) == 3:  # the first call finds out how large a token is
            preparation.abort.set()  # the library does not begin the second chunk
        return embedded(ids)

    step.embedded = interrupting  # type: ignore[method-assign]
    assert room.preparing.prepare(preparation) is None
    assert room.engine.prefixes.longest_tokens == CHUNK_TOKENS
    preparation.abort.clear()
    spent_s = preparation.spent_s
    prepared = room.preparing.prepare(preparation)
    assert len(calls) == 4  # the first chunk is not read again
    assert prepared is not None
    assert prepared.tokens == TOKENS
    assert prepared.seconds > spent_s > 0.0


@pytest.mark.parametrize(
    ('limit_bytes', 'tokens', 'sentence'),
    [
        (0, 100, 'prefix_cache_mb is 0'),
        (50_000_000, CONTEXT_TOKENS, f'have {CONTEXT_TOKENS} tokens .* a context of'),
        (1_000_000, 200, r'have 200 tokens, which take 1.1 MB .*, but 1.0 MB of prefix_cache_mb'),
    ],
)
def test_one_that_cannot_be_held_is_refused_and_nothing_is_lost(
    limit_bytes: int, tokens: int, sentence: str
) -> None:
    room = Room(limit_bytes)
    room.prepare('1 10')
    before = room.cached('1 10')
    prepared = room.prepare(f'2 {tokens}')
    assert prepared is not None
    with pytest.raises(AssertionError, match=sentence):
        raise AssertionError(prepared.detail)
    assert room.cached('1 10') == before


def intake() -> tuple[Intake, list[FromWorker]]:
    sent: list[FromWorker] = []
    room = Intake(sent.append)
    room.start_tokenising(lambda *_: [0], lambda *_: None)
    return room, sent


def test_a_context_waits_while_a_query_is_held() -> None:
    room, sent = intake()
    room.take(Submit(0, 'word', ''))
    wait_until(lambda: sent == [Tokenised(0, 1)], 5.0, 'tokenised')
    room.take(Prepare(1, 'a', '', 'map'))
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(room.next_work()), daemon=True)
    thread.start()
    thread.join(0.05)
    assert not found
    room.take(Drop(0))
    thread.join(5.0)
    assert [work.message.number for work in found if isinstance(work, Preparation)] == [1]


def test_a_query_that_comes_interrupts_it_and_it_stays_to_be_done() -> None:
    room, _ = intake()
    room.take(Prepare(1, 'a', '', 'map'))
    preparation = room.next_work()
    assert isinstance(preparation, Preparation)
    assert not preparation.abort.is_set()
    room.take(Submit(0, 'word', ''))
    assert preparation.abort.is_set()
    room.take(Drop(0))
    assert room.next_work() is preparation
    assert not preparation.abort.is_set()
    assert room.is_prepared(preparation)
    assert not room.is_prepared(preparation)


def test_a_newer_one_of_the_holder_ends_an_older_one() -> None:
    room, sent = intake()
    room.take(Prepare(1, 'a', '', 'map'))
    older = room.next_work()
    room.take(Prepare(2, 'a', '', 'log'))
    assert isinstance(older, Preparation)
    assert older.abort.is_set()
    assert sent == [Prepared(1, 'another one has taken its place')]
    assert not room.is_prepared(older)
    newer = room.next_work()
    assert isinstance(newer, Preparation) and newer.message.number == 2
