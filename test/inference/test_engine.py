"""The decoding loop on the real weights, against transformers' own."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from timebill_ros.core.deadline import Deadline
from timebill_ros.core.outcome import FinishReason
from timebill_ros.inference.engine import DecodingSettings, Engine, prefill_chunks
from timebill_ros.inference.interrupt import Interrupt, InterruptedGenerationError
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.inference.loading.model_loader import BUILT_IN, TargetModel, load_target
from timebill_ros.inference.step.generic_step import GenericStep

PENALTY = 1.1
MAX_NEW_TOKENS = 32
PROMPTS = [
    'What is the capital of France?',
    'How can a robot open a door?',
    'List ten animals.',
    'Count from 1 to 20.',
    'Name five objects found in a kitchen.',
    'Translate to JSON: move to x 1.5, y 2.0, speed 0.3.',
    'Write a haiku about a warehouse robot.',
    'Why is the sky blue?',
    'Plan a patrol of four rooms: lobby, office, lab, storage.',
    'What is 17 plus 25?',
    'Convert 5 kilometres to metres.',
    'What does a lidar do?',
    'The green block is on the red block. The red block is on the table. What is on the table?',
    'Give three reasons why a drone should return home.',
    'Write a Python function that adds two numbers.',
    'Describe the water cycle.',
    'Is it safe to lift a 30 kg box with an arm rated for 10 kg?',
    'Écrivez une phrase sur un robot. 🤖',
    'Make a table with three columns: sensor, range, purpose.',
    'Summarise: ' + 'The robot drove from the dock to the shelf and picked up a box. ' * 40,
]


@pytest.fixture(scope='module')
def target() -> TargetModel:
    return load_target(BUILT_IN, device='cpu', dtype='float32', quantization='none')


@pytest.fixture(scope='module')
def reference(target: TargetModel) -> Iterator[Any]:
    """Transformers' own model: other weights in memory, its own attention and cache."""
    model = AutoModelForCausalLM.from_pretrained(
        target.model.config._name_or_path, dtype=torch.float32, attn_implementation='sdpa'
    )
    yield model.eval()


def never() -> Interrupt:
    return Interrupt(Deadline(float('inf')))


def decoded(engine: Engine, ids: list[int], limit: int) -> tuple[list[int], FinishReason | None]:
    prefilled = engine.prefill(ids, limit, never())
    pairs = list(engine.decode(prefilled, limit, never()))
    return [token_id for token_id, _ in pairs], pairs[-1][1]


@pytest.mark.parametrize('number', range(len(PROMPTS)))
def test_decoding_is_a_prefix_of_greedy_generate(
    target: TargetModel, reference: Any, number: int
) -> None:
    ids = ChatPrompt(target.tokenizer).token_ids(PROMPTS[number])
    engine = Engine(target, DecodingSettings(PENALTY))
    ours, reason = decoded(engine, ids, MAX_NEW_TOKENS)
    generated = reference.generate(
        torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        do_sample=False,
        repetition_penalty=PENALTY,
        max_new_tokens=MAX_NEW_TOKENS,
    )[0, len(ids) :].tolist()
    assert ours == generated[: len(ours)]
    if reason is not FinishReason.REPETITION:
        assert ours == generated


def test_a_loop_ends_as_repetition(target: TargetModel) -> None:
    prompt = 'Repeat for ever: na na na na na na na na na na na na na na na na na na na na'
    ids = ChatPrompt(target.tokenizer).token_ids(prompt)
    looping = Engine(target, DecodingSettings(1.0))
    tokens, reason = decoded(looping, ids, 400)
    assert reason is FinishReason.REPETITION, reason
    settings = dataclasses.replace(looping.settings, stop_at_repetition=False)
    longer, _ = decoded(Engine(target, settings), ids, len(tokens) + 8)
    assert len(longer) == len(tokens) + 8


def test_max_new_tokens_ends_as_length(target: TargetModel) -> None:
    ids = ChatPrompt(target.tokenizer).token_ids(PROMPTS[1])
    tokens, reason = decoded(Engine(target, DecodingSettings()), ids, 5)
    assert (len(tokens), reason) == (5, FinishReason.LENGTH)


def test_an_abort_cuts_a_prefill_within_a_layer(target: TargetModel) -> None:
    interrupt = never()
    asked = 0

    def clock() -> float:
        nonlocal asked
        asked += 1
        return float(asked)

    interrupt = Interrupt(Deadline(7.5, clock))
    engine = Engine(target, DecodingSettings(), step=GenericStep(target.model))
    with pytest.raises(InterruptedGenerationError):
        engine.prefill([1] * 600, 1, interrupt)
    assert asked == 8  # asked once a layer, and the eighth time it was over


def test_a_passed_deadline_cuts_decoding_and_what_was_yielded_stands(target: TargetModel) -> None:
    ids = ChatPrompt(target.tokenizer).token_ids(PROMPTS[1])
    engine = Engine(target, DecodingSettings())
    prefilled = engine.prefill(ids, 16, never())
    interrupt = never()
    tokens = []
    with pytest.raises(InterruptedGenerationError):
        for token_id, _ in engine.decode(prefilled, 16, interrupt):
            tokens.append(token_id)
            if len(tokens) == 3:
                interrupt.abort.set()
    assert len(tokens) == 3


def test_chunks_cover_the_prompt_and_are_shorter_far_in() -> None:
    chunks = list(prefill_chunks(4500))
    assert [end - start for start, end in chunks] == [1024, 1024, 1024, 512, 512, 404]
    assert [start for start, _ in chunks[1:]] == [end for _, end in chunks[:-1]]
    assert list(prefill_chunks(1)) == [(0, 1)]
