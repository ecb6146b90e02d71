"""A generation that is left for another one goes on as if nothing had been."""

import contextvars
import gc
import weakref
from collections.abc import Callable

import pytest
import torch

from support.tiny_models import ARCHITECTURES, NEVER, random_prompt, tiny_model, tiny_target
from timebill_ros.core.abort_flag import AbortFlag
from timebill_ros.core.deadline import Deadline
from timebill_ros.inference.cache.kv_cache import KVCache
from timebill_ros.inference.constraint.choices import Choices
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.give_way import GiveWay, Left
from timebill_ros.inference.interrupt import Interrupt, InterruptedGenerationError
from timebill_ros.inference.length.prefill_states import PrefillStates
from timebill_ros.inference.prefix.prefix_cache import PrefixCache
from timebill_ros.inference.step import native_families
from timebill_ros.inference.step.decoding_step import DecodingStep
from timebill_ros.inference.step.generic_step import GenericStep
from timebill_ros.inference.step.graph_step import GraphStep
from timebill_ros.inference.step.native_step import NativeStep

CHUNKS = ((0, 12), (12, 24), (24, 40))
PATIENT, URGENT = random_prompt(40, seed=1), random_prompt(23, seed=2)
NEW_TOKENS = 10
CHOICES = {'a': [5, 6, 7], 'b': [5, 6], 'c': [9], 'd': [5, 8, 11, 12]}
STOPS = [1, 2]
STEPS: dict[str, Callable[[str], DecodingStep]] = {
    'generic': lambda name: GenericStep(tiny_model(name)),
    'graph': lambda name: GraphStep(tiny_model(name), bucket_tokens=16, capacity=96),
    'native': lambda name: NativeStep(tiny_model(name), {}, threads=2),
}


def written(
    engine: Engine, prompt: list[int], interrupt: Interrupt = NEVER, kept_tokens: int | None = None
) -> list[int]:
    prefilled = engine.prefill(
        prompt, NEW_TOKENS, interrupt, CHUNKS if prompt is PATIENT else None
    )
    engine.evict(prefilled, kept_tokens or len(prompt))
    return [token for token, _ in engine.decode(prefilled, NEW_TOKENS, interrupt)]


def left_at(place: int, answer_urgent: Callable[[], object]) -> Interrupt:
    """Return what leaves a generation once, at one of the places where it may be left."""
    places = iter(range(100))

    def answer(_: Left) -> int:
        if next(places) != place:
            return 0
        contextvars.Context().run(answer_urgent)
        return 1

    return Interrupt(Deadline(float('inf')), give_way=GiveWay(answer))


@pytest.mark.parametrize('name', ['llama', 'qwen3', 'mistral-sliding', 'gemma3'])
@pytest.mark.parametrize('kind', STEPS)
@pytest.mark.parametrize('kept_tokens', [40, 20])
def test_both_answers_are_what_they_would_have_been_alone(
    name: str, kind: str, kept_tokens: int
) -> None:
    if kind == 'graph' and name in ('mistral-sliding', 'gemma3'):
        pytest.skip('it attends to a window')
    if kind == 'native' and (why_not := native_families.why_not(tiny_model(name))):
        pytest.skip(why_not)
    engine = Engine(tiny_target(name), DecodingSettings(), step=STEPS[kind](name))
    patient, urgent = written(engine, PATIENT, kept_tokens=kept_tokens), written(engine, URGENT)
    for place in range(2 + NEW_TOKENS - 1):  # between chunks, and between steps
        answers = []
        # The lambda is called in this round.
        interrupt = left_at(place, lambda: answers.append(written(engine, URGENT)))  # noqa: B023
        assert written(engine, PATIENT, interrupt, kept_tokens) == patient
        assert answers == [urgent]


@pytest.mark.parametrize('name', ARCHITECTURES)
def test_both_answers_are_right_where_they_share_their_beginning(name: str) -> None:
    engine = Engine(tiny_target(name), DecodingSettings())
    urgent = [*PATIENT[:38], *URGENT[:2]]  # so little is lost that memory could be handed over
    alone = written(engine, PATIENT), written(engine, urgent)

    def reusing(prompt: list[int], interrupt: Interrupt = NEVER) -> list[int]:
        beginning = engine.begin(prompt, NEW_TOKENS)
        prefilled = engine.prefill(prompt, NEW_TOKENS, interrupt, beginning=beginning)
        tokens = [token for token, _ in engine.decode(prefilled, NEW_TOKENS, interrupt)]
        engine.prefixes.done(beginning)
        return tokens

    for place in range(NEW_TOKENS - 1):
        engine.prefixes = PrefixCache(1 << 30, fresh_tokens=1)
        answers = []
        # The lambda is called in this round.
        interrupt = left_at(place, lambda: answers.append(reusing(urgent)))  # noqa: B023
        assert (reusing(PATIENT, interrupt), *answers) == alone
        assert reusing(PATIENT) == alone[0]


def test_the_states_of_a_prompt_are_its_own_when_another_is_read_meanwhile() -> None:
    engine = Engine(tiny_target('llama'), DecodingSettings())

    def states(interrupt: Interrupt) -> torch.Tensor:
        read: list[torch.Tensor] = []
        reading = PrefillStates(tiny_model('llama'), [1, 2], len(PATIENT), read.append)
        with reading.reading():
            engine.prefill(PATIENT, 1, interrupt, CHUNKS)
        return read[0]

    alone = states(NEVER)
    for place in range(2):
        assert torch.equal(states(left_at(place, lambda: written(engine, URGENT))), alone)


def scored(engine: Engine, interrupt: Interrupt = NEVER) -> list[float]:
    """Return how likely each choice is after the patient prompt."""
    choices = Choices(tuple(CHOICES), CHOICES.__getitem__)
    prefilled = engine.prefill(PATIENT, choices.longest, NEVER)
    with engine.step.answering(prefilled.cache, len(PATIENT), choices.longest) as step:
        return choices.log_likelihoods(prefilled.logits, STOPS, step, interrupt)


@pytest.mark.parametrize('kind', STEPS)
def test_an_urgent_query_runs_between_two_passes_that_score_choices(kind: str) -> None:
    engine = Engine(tiny_target('llama'), DecodingSettings(), step=STEPS[kind]('llama'))
    alone, urgent = scored(engine), written(engine, URGENT)
    for place in range(7):  # before each pass
        answers = []
        # The lambda is called in this round.
        interrupt = left_at(place, lambda: answers.append(written(engine, URGENT)))  # noqa: B023
        assert scored(engine, interrupt) == pytest.approx(alone, abs=1e-6)
        assert answers == [urgent]


@pytest.mark.parametrize('kind', STEPS)
def test_an_abort_ends_the_scoring_of_choices_before_the_next_pass(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(tiny_target('llama'), DecodingSettings(), step=STEPS[kind]('llama'))
    abort, passes, append = AbortFlag(), list[int](), engine.step.append

    def appended(ids: list[int], check: Callable[[], None]) -> torch.Tensor:
        passes.extend(ids)
        if len(passes) == 3:
            abort.set()
        return append(ids, check)

    monkeypatch.setattr(engine.step, 'append', appended)
    with pytest.raises(InterruptedGenerationError):
        scored(engine, Interrupt(Deadline(float('inf')), abort))
    assert len(passes) == 3


def cached_bytes(left: Left) -> int:
    """Return the memory of the cache whose method `free` is [bytes]."""
    cache = left.free.__self__  # type: ignore[attr-defined]  # a Callable, to the type checker
    assert isinstance(cache, KVCache)
    return cache.nbytes


def dropped_at(place: int, look: Callable[[Left], None]) -> Interrupt:
    """Return what leaves a generation once, which is dropped meanwhile."""
    abort, places = AbortFlag(), iter(range(100))

    def answer(left: Left) -> int:
        if next(places) != place:
            return 0
        left.free_if_dropped()
        assert cached_bytes(left) > 0
        abort.set()
        left.free_if_dropped()
        look(left)
        return 1

    return Interrupt(Deadline(float('inf')), abort, give_way=GiveWay(answer))


@pytest.mark.parametrize('kind', STEPS)
@pytest.mark.parametrize('place', [0, 1, 2, 5])
def test_a_query_that_is_dropped_while_it_is_left_frees_its_cache_and_does_not_go_on(
    kind: str, place: int
) -> None:
    engine = Engine(tiny_target('llama'), DecodingSettings(), step=STEPS[kind]('llama'))
    urgent, answers = written(engine, URGENT), list[list[int]]()
    memory = list[weakref.ref[torch.Tensor]]()

    def freed(left: Left) -> None:
        gc.collect()
        assert cached_bytes(left) == 0
        assert [tensor() for tensor in memory] == [None] * len(memory)
        answers.append(written(engine, URGENT))

    interrupt = dropped_at(place, freed)
    with pytest.raises(InterruptedGenerationError):
        prefilled = engine.prefill(PATIENT, NEW_TOKENS, interrupt, CHUNKS)
        memory += [weakref.ref(layer.keys) for layer in prefilled.cache.layers]
        list(engine.decode(prefilled, NEW_TOKENS, interrupt))
    assert answers == [urgent]
    assert written(engine, URGENT) == urgent


@pytest.mark.parametrize('shared', [0, 38])
def test_what_was_freed_is_kept_for_no_other_prompt(shared: int) -> None:
    engine = Engine(tiny_target('llama'), DecodingSettings())
    engine.prefixes = PrefixCache(1 << 30, fresh_tokens=1)
    expected = written(engine, PATIENT)
    if shared:  # its memory is handed over
        first = [*PATIENT[:shared], *URGENT[:2]]
        beginning = engine.begin(first, NEW_TOKENS)
        engine.prefill(first, NEW_TOKENS, NEVER, beginning=beginning)
        engine.prefixes.done(beginning)
    beginning = engine.begin(PATIENT, NEW_TOKENS)
    assert beginning.cached_tokens == shared
    chunks = ((shared, 39), (39, 40))
    with pytest.raises(InterruptedGenerationError):
        engine.prefill(PATIENT, NEW_TOKENS, dropped_at(0, lambda _: None), chunks, beginning)
    engine.prefixes.done(beginning)
    again = engine.begin(PATIENT, NEW_TOKENS)
    assert again.cached_tokens == shared
    prefilled = engine.prefill(PATIENT, NEW_TOKENS, NEVER, beginning=again)
    assert [token for token, _ in engine.decode(prefilled, NEW_TOKENS, NEVER)] == expected
