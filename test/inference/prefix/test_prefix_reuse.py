"""Prompts that begin alike: answers are, token for token, those of a prompt that is read whole."""

from collections.abc import Callable, Iterator

import pytest
import torch

from support.tiny_models import ARCHITECTURES, NEVER, decoded, random_prompt, tiny_target
from timebill_ros.core.deadline import Deadline
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.interrupt import Interrupt, InterruptedGenerationError
from timebill_ros.inference.loading.model_loader import BUILT_IN, load_target
from timebill_ros.inference.prefix.prefix_cache import PrefixCache
from timebill_ros.inference.step.native_step import NativeStep

TOKENS, NEW = 150, 12
LIMIT = 50_000_000
SHARES: dict[str, Callable[[int], int]] = {
    'none': lambda tokens: 0,
    'one': lambda tokens: 1,
    'half': lambda tokens: tokens // 2,
    'all but one': lambda tokens: tokens - 1,
    'all': lambda tokens: tokens,
}
LENGTHS = tuple(range(40, 140, 5))
"""Of twenty prompts."""


def engine_of(architecture: str, limit: int = LIMIT) -> Engine:
    engine = Engine(tiny_target(architecture), DecodingSettings(stop_at_repetition=False))
    engine.prefixes = PrefixCache(limit, engine.scorer.window)
    return engine


def beginning_with(prompt: list[int], tokens: int, seed: int) -> list[int]:
    """Return a prompt of the same length that shares so many first tokens, and not the next."""
    other = random_prompt(len(prompt), seed)
    if tokens < len(prompt):
        other[tokens] = (prompt[tokens] + 1) % 96
    return prompt[:tokens] + other[tokens:]


def answer(
    engine: Engine,
    prompt: list[int],
    kept: int | None = None,
    reuses: bool = True,
    new: int = NEW,
) -> tuple[list[int], torch.Tensor, int]:
    """Return the answer's ids and logits, and how many tokens were cached."""
    beginning = engine.begin(prompt, new) if reuses else None
    prefilled = engine.prefill(prompt, new, NEVER, beginning=beginning)
    if kept is not None:
        engine.evict(prefilled, kept)
    ids, logits = decoded(engine, prefilled, new)
    if beginning is not None:
        engine.prefixes.done(beginning)
    return ids, logits, beginning.cached_tokens if beginning else 0


@pytest.fixture(params=(*ARCHITECTURES, 'mistral-sliding'))
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    yield engine_of(request.param)


def expect_identity(engine: Engine, first: list[int], shared: int, kept: int | None) -> None:
    """Ask a prompt, and another one that shares so many tokens: it is answered as if alone."""
    engine.prefixes = PrefixCache(LIMIT, engine.scorer.window)
    tokens = len(first)
    answer(engine, first, kept, new=3)
    prompt = beginning_with(first, shared, seed=1000 + tokens)
    ids, logits, cached = answer(engine, prompt, kept, new=3)
    whole, expected, _ = answer(engine, prompt, kept, reuses=False, new=3)
    assert cached == min(shared, tokens - engine.scorer.window)
    assert ids == whole
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('share', SHARES)
@pytest.mark.parametrize('kept_share', [1.0, 0.7])
def test_answers_are_those_without_reuse(engine: Engine, share: str, kept_share: float) -> None:
    layers = engine.prefill([1], 1, NEVER).cache.layers
    if kept_share < 1.0 and all(layer.is_sliding for layer in layers):
        pytest.skip('nothing is evicted from sliding layers')
    for seed, tokens in enumerate(LENGTHS if kept_share == 1.0 else LENGTHS[::5]):
        first = random_prompt(tokens, seed)
        kept = int(kept_share * tokens) if kept_share < 1.0 else None
        expect_identity(engine, first, SHARES[share](tokens), kept)


@pytest.fixture(scope='module')
def real_engine() -> Engine:
    target = load_target(BUILT_IN, device='cpu', dtype='float32')
    return Engine(target, DecodingSettings(stop_at_repetition=False))


@pytest.mark.parametrize('share', SHARES)
def test_answers_of_the_built_in_model_are_those_without_reuse(
    real_engine: Engine, share: str
) -> None:
    for seed in range(4):
        first = random_prompt(48 + seed, seed)
        expect_identity(real_engine, first, SHARES[share](len(first)), None)


def test_an_entry_may_be_dropped_between_the_promise_and_the_turn(engine: Engine) -> None:
    first = random_prompt(TOKENS)
    answer(engine, first)
    prompt = beginning_with(first, TOKENS // 2, 1)
    expected = answer(engine, prompt, reuses=False)[0]
    assert engine.prefixes.pin(7, prompt) == TOKENS // 2
    engine.prefixes.clear()  # there was no memory, say
    ids, _, cached = answer(engine, prompt)
    assert (ids, cached) == (expected, 0)
    assert answer(engine, prompt)[0] == expected  # what is kept of it since then is right


def test_an_entry_may_be_dropped_while_its_prompt_is_read(engine: Engine) -> None:
    first = random_prompt(TOKENS)
    answer(engine, first)
    for shared in (TOKENS // 2, TOKENS):  # copied, and handed over
        prompt = beginning_with(first, shared, 1)
        expected = answer(engine, prompt, reuses=False)[0]
        beginning = engine.begin(prompt, NEW)
        assert beginning.cached_tokens > 0
        engine.prefixes.clear()
        prefilled = engine.prefill(prompt, NEW, NEVER, beginning=beginning)
        assert decoded(engine, prefilled, NEW)[0] == expected
        engine.prefixes.done(beginning)
        answer(engine, first)


def test_the_observation_window_is_the_whole_ones(engine: Engine) -> None:
    first = random_prompt(TOKENS)
    answer(engine, first)
    prompt = beginning_with(first, 140, 1)
    reused = engine.prefill(prompt, NEW, NEVER, beginning=engine.begin(prompt, NEW))
    whole = engine.prefill(prompt, NEW, NEVER)
    for layer in range(len(whole.cache.layers)):
        torch.testing.assert_close(
            reused.observed[layer].queries, whole.observed[layer].queries, rtol=1e-3, atol=1e-3
        )


def cut_off_after(checks: int) -> Interrupt:
    times = iter(range(10_000))
    return Interrupt(Deadline(checks - 0.5, lambda: float(next(times))))


def test_what_a_cut_off_prefill_has_read_is_kept_up_to_its_last_whole_chunk(
    engine: Engine,
) -> None:
    prompt = random_prompt(TOKENS)
    # The library looks at the interrupt by itself; Python does before a chunk, or before a layer.
    is_native = isinstance(engine.step, NativeStep)
    checks = 1 if is_native else len(engine.prefill([1], 1, NEVER).cache.layers)
    into = 0 if is_native else 1
    chunks = [(0, 40), (40, 80), (80, TOKENS)]
    with pytest.raises(InterruptedGenerationError):
        engine.prefill(
            prompt, NEW, cut_off_after(2 * checks + 2 * into), chunks, engine.begin(prompt, NEW)
        )
    ids, _, cached = answer(engine, prompt)
    assert cached == 80
    assert ids == answer(engine, prompt, reuses=False)[0]
    # Cut off in the memory of another: what both share is left.
    other = beginning_with(prompt, 142, 1)
    with pytest.raises(InterruptedGenerationError):
        engine.prefill(other, NEW, cut_off_after(into), beginning=engine.begin(other, NEW))
    ids, _, cached = answer(engine, prompt)
    assert cached == TOKENS - engine.scorer.window
    assert ids == answer(engine, prompt, reuses=False)[0]


def test_an_answer_that_was_evicted_leaves_the_whole_prompt(engine: Engine) -> None:
    prompt = random_prompt(TOKENS)
    prefilled = engine.prefill(prompt, NEW, NEVER, beginning=engine.begin(prompt, NEW))
    if all(layer.is_sliding for layer in prefilled.cache.layers):
        pytest.skip('nothing is evicted from sliding layers')
    engine.evict(prefilled, 90)
    decoded(engine, prefilled, NEW)
    ids, _, cached = answer(engine, prompt)
    assert cached == TOKENS - engine.scorer.window
    assert ids == answer(engine, prompt, reuses=False)[0]


def test_memory_is_handed_over_without_a_copy_where_little_is_lost() -> None:
    engine = engine_of('llama')
    first = random_prompt(TOKENS)
    beginning = engine.begin(first, NEW)
    memory = engine.prefill(first, NEW, NEVER, beginning=beginning).cache.memory
    assert memory is not None
    still_used = engine.begin(beginning_with(first, 140, 1), NEW)
    assert still_used.memory is not None
    assert still_used.memory[0][0] is not memory[0][0]
    engine.prefixes.done(beginning)
    for shared, is_copied in ((140, False), (70, True)):
        prompt = beginning_with(first, shared, 1)
        beginning = engine.begin(prompt, NEW)
        assert beginning.memory is not None
        assert (beginning.memory[0][0] is not memory[0][0]) == is_copied
        engine.prefill(prompt, NEW, NEVER, beginning=beginning)
        engine.prefixes.done(beginning)
    assert len(engine.prefixes) == 2  # the copied one, and the one it was copied from


def test_a_longer_answer_than_there_is_room_for_is_copied() -> None:
    engine = engine_of('llama')
    first = random_prompt(TOKENS)
    answer(engine, first)
    beginning = engine.begin(first, 300)
    assert beginning.entry is None and beginning.cached_tokens == TOKENS - engine.scorer.window
    prefilled = engine.prefill(first, 300, NEVER, beginning=beginning)
    assert len(decoded(engine, prefilled, 300)[0]) == 300
    assert len(engine.prefixes) == 1  # the shorter memory is of no more use


def test_off_keeps_nothing_and_takes_no_more_memory() -> None:
    engine = engine_of('llama', limit=0)
    first = random_prompt(TOKENS)
    prefilled = engine.prefill(first, NEW, NEVER, beginning=engine.begin(first, NEW))
    assert prefilled.cache.layers[0].capacity == TOKENS + NEW
    assert engine.begin(first, NEW).cached_tokens == 0
    assert len(engine.prefixes) == engine.prefixes.nbytes == 0
