"""An eviction in the middle of an answer, against attention over exactly what is kept."""

import contextvars
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from support.tiny_models import NEVER, random_prompt, tiny_model, tiny_target
from timebill_ros.core.constraint import Constraint, ConstraintKind
from timebill_ros.core.deadline import Deadline
from timebill_ros.inference.cache.scorers.snapkv import SnapKV
from timebill_ros.inference.constraint.guided import Guided
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.give_way import GiveWay, Left
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.inference.loading.model_loader import BUILT_IN, TargetModel, load_target
from timebill_ros.inference.reference_attention import eager_attention
from timebill_ros.inference.step import native_families
from timebill_ros.inference.step.decoding_step import DecodingStep, decoding_step
from timebill_ros.inference.step.generic_step import GenericStep
from timebill_ros.inference.step.graph_step import GraphStep
from timebill_ros.inference.step.native_step import NativeStep
from timebill_ros.inference.target_compiler import target_compiler
from timebill_ros.inference.text_stream import TextStream

PROMPT, URGENT = random_prompt(61), random_prompt(23, seed=2)
NEW_TOKENS, KEPT_TOKENS = 10, 30
DECODING = DecodingSettings(stop_at_repetition=False)
SCORER = SnapKV(window=8)
STEPS: dict[str, Callable[[str], DecodingStep]] = {
    'generic': lambda name: GenericStep(tiny_model(name)),
    'graph': lambda name: GraphStep(tiny_model(name), bucket_tokens=16, capacity=96),
    'native': lambda name: NativeStep(tiny_model(name), {}, threads=2),
}
LAYERS = {'gemma3': [1], 'mistral-sliding': []}
"""Those with full attention, where they are not all three."""


@pytest.fixture(scope='module')
def real() -> TargetModel:
    return load_target(BUILT_IN, device='cpu', dtype='float32', quantization='none')


def engine_with(name: str, kind: str) -> Engine:
    if kind == 'graph' and name in LAYERS:
        pytest.skip('it attends to a window')
    if kind == 'native' and (why_not := native_families.why_not(tiny_model(name))):
        pytest.skip(why_not)
    return Engine(tiny_target(name), DECODING, SCORER, STEPS[kind](name))


def written(
    engine: Engine, prompt: list[int], evict_at: int = 0, interrupt: Interrupt = NEVER
) -> list[int]:
    """Return the answer of a prompt that is evicted after so many tokens; 0: never."""
    prefilled = engine.prefill(prompt, NEW_TOKENS, interrupt)
    tokens = []
    for token, _ in engine.decode(prefilled, NEW_TOKENS, interrupt):
        tokens.append(token)
        if len(tokens) == evict_at:
            engine.evict(prefilled, KEPT_TOKENS)
    return tokens


def of_the_reference(
    model: Any, prompt: list[int], tokens: list[int], kept: dict[int, torch.Tensor]
) -> list[int]:
    """Return what the model's own attention chooses after each token of an answer.

    Arguments:
        kept: {layer: positions, (kv_heads, kept)}: what stays of the prompt and of the answer
            before the eviction. Only the tokens behind do not see the rest.
    """
    read = 1 + max((int(positions.max()) for positions in kept.values()), default=len(prompt))
    masks = {
        layer: torch.zeros(len(positions), read, dtype=torch.bool).scatter_(1, positions, True)
        for layer, positions in kept.items()
    }
    with eager_attention(model, masks), torch.no_grad():
        logits = model(torch.tensor([[*prompt, *tokens[:-1]]]), use_cache=False).logits[0]
    chosen: list[int] = logits[len(prompt) - 1 :].argmax(-1).tolist()
    return chosen


@pytest.mark.parametrize('evict_at', [1, 2, 6, NEW_TOKENS - 1])
@pytest.mark.parametrize('kind', STEPS)
@pytest.mark.parametrize(
    'name', ['llama', 'qwen2', 'qwen3', 'mistral', 'gemma3', 'mistral-sliding']
)
def test_the_rest_of_the_answer_attends_to_exactly_what_is_kept(
    name: str, kind: str, evict_at: int, kept: list[torch.Tensor]
) -> None:
    engine = engine_with(name, kind)
    tokens = written(engine, PROMPT, evict_at)
    for positions in kept:  # all of the answer stays
        of_answer = torch.arange(len(PROMPT), len(PROMPT) + evict_at - 1)
        assert torch.equal(positions[:, KEPT_TOKENS:], of_answer.expand(2, -1))
    by_layer = dict(zip(LAYERS.get(name, [0, 1, 2]), kept, strict=True))
    assert of_the_reference(tiny_model(name), PROMPT, tokens, by_layer) == tokens


@pytest.mark.parametrize('kind', STEPS)
def test_an_answer_that_is_left_is_whole_in_the_cache_of_its_prompt(kind: str) -> None:
    engine = engine_with('llama', kind)
    alone = written(engine, PROMPT)
    prefilled = engine.prefill(PROMPT, NEW_TOKENS, NEVER)
    tokens = []
    for token, _ in engine.decode(prefilled, NEW_TOKENS, NEVER):
        tokens.append(token)
        with prefilled.at_rest() as cache:
            assert cache is prefilled.cache
            held = [layer.keys[:, :, : layer.length].clone() for layer in cache.layers]
    assert tokens == alone
    whole = engine.prefill([*PROMPT, *tokens[:-1]], 1, NEVER).cache
    for mine, layer in zip(held, whole.layers, strict=True):
        torch.testing.assert_close(mine, layer.keys[:, :, : layer.length], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('kind', STEPS)
@pytest.mark.parametrize('evict_at', [2, 5])
def test_answers_that_are_preempted_are_evicted_as_if_they_were_alone(
    kind: str, evict_at: int
) -> None:
    engine = engine_with('llama', kind)
    alone, urgent = written(engine, PROMPT, evict_at), written(engine, URGENT)
    evicted_urgent = written(engine, [*PROMPT[5:], 7], 3)
    for place in range(NEW_TOKENS - 1):
        places, answers = iter(range(100)), []

        def answer_urgent(_: Left, place=place, places=places, answers=answers) -> int:
            if next(places) != place:
                return 0
            for prompt, at in ((URGENT, 0), ([*PROMPT[5:], 7], 3)):
                answers.append(contextvars.Context().run(written, engine, prompt, at))
            return 2

        interrupt = Interrupt(Deadline(float('inf')), give_way=GiveWay(answer_urgent))
        assert written(engine, PROMPT, evict_at, interrupt) == alone
        assert answers == [urgent, evicted_urgent]


def test_tokens_that_are_taken_back_after_an_answer_was_left_are_gone() -> None:
    engine = engine_with('llama', 'graph')
    logits = []
    for tokens_taken_back in ([6, 7, 8], []):
        cache = engine.prefill(PROMPT, NEW_TOKENS, NEVER).cache
        with engine.step.answering(cache, len(PROMPT), NEW_TOKENS) as step:
            for token in [5, *tokens_taken_back]:
                step.logits(torch.tensor(token))
            with step.leave():
                assert cache.layers[0].length == len(PROMPT) + 1 + len(tokens_taken_back)
            step.rewind(len(tokens_taken_back))
            for token in (9, 10, 11):
                step.logits(torch.tensor(token))
            with step.leave():
                assert cache.layers[0].length == len(PROMPT) + 4
            logits.append(step.logits(torch.tensor(12)).clone())
    torch.testing.assert_close(*logits)


@pytest.mark.parametrize('evict_at', [3, 7, 14])
def test_a_constrained_answer_is_evicted_as_well(
    evict_at: int, real: TargetModel, kept: list[torch.Tensor]
) -> None:
    """Tokens that the constraint forces wait for the next pass: they come after the eviction."""
    chat = ChatPrompt(real.tokenizer)
    ids = chat.token_ids('The robot is in the kitchen, beside the sink. ' * 20 + 'Where is it?')
    schema = {
        'type': 'object',
        'properties': {'robot_is_in_room': {'type': 'string'}, 'beside': {'type': 'string'}},
        'required': ['robot_is_in_room', 'beside'],
        'additionalProperties': False,
    }
    form = target_compiler(real, chat).compiled(
        Constraint(ConstraintKind.JSON_SCHEMA, json.dumps(schema)), 0
    )
    found = []
    for step in (decoding_step(real.model, real.quantized), GenericStep(real.model)):
        engine = Engine(real, DECODING, step=step)
        for at in (evict_at, 0):
            stream = TextStream(real.tokenizer.backend_tokenizer)
            guided = Guided.by(form, real.stop_token_ids, stream)
            prefilled, text = engine.prefill(ids, 60, NEVER), ''
            decoding = engine.decode(prefilled, 60, NEVER, guided.guide)
            for tokens, (token, _) in enumerate(decoding, 1):
                text += guided.add(token)
                if tokens == at:
                    engine.evict(prefilled, 90)
            found.append(text)
    assert len(kept) == 2 * real.model.config.num_hidden_layers
    assert found[:2] == found[2:]
    assert set(json.loads(found[0])) == set(json.loads(found[1])) == set(schema['required'])


def test_the_real_model_attends_to_exactly_what_is_kept(
    real: TargetModel, kept: list[torch.Tensor]
) -> None:
    target = real
    doors = ['red', 'blue', 'green', 'white', 'black', 'brown', 'grey', 'pink']
    lines = [f'The code of the {door} door is {7315 + 613 * n}. ' for n, door in enumerate(doors)]
    ids = ChatPrompt(target.tokenizer).token_ids(''.join(lines * 3) + 'List all eight codes.')
    model, new_tokens, keeps, evict_at = target.model, 40, 84, 5
    found = {}
    for step in (decoding_step(model, target.quantized), GenericStep(model)):
        engine = Engine(target, DECODING, step=step)
        prefilled = engine.prefill(ids, new_tokens, NEVER)
        tokens: list[int] = []
        kept.clear()
        for token, _ in engine.decode(prefilled, new_tokens, NEVER):
            tokens.append(token)
            if len(tokens) == evict_at:
                engine.evict(prefilled, keeps)
        found[step.name] = tokens
    assert len(found) == 2
    by_layer = dict(enumerate(kept))
    assert len(by_layer) == model.config.num_hidden_layers
    for tokens in found.values():
        assert of_the_reference(model, ids, tokens, by_layer) == tokens
        assert of_the_reference(model, ids, tokens, {}) != tokens
