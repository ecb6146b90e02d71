"""Measures how long the target's answer to a prompt is, answered as the node answers queries."""

import platform
import time
from contextlib import AbstractContextManager, nullcontext

import numpy
import tokenizers
import torch
import transformers

from timebill_ros.core.deadline import Deadline
from timebill_ros.core.outcome import FinishReason
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.length.prefill_states import PrefillStates
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.training.length_file import LengthKey, LengthRecord
from timebill_ros.training.prompt import Prompt
from timebill_ros.training.state_file import StateFile, state_layers

_NEVER = Interrupt(Deadline(float('inf')))


def length_key(engine: Engine, max_new_tokens: int) -> LengthKey:
    """Return the key of the lengths that an engine gives."""
    target = engine.target
    return LengthKey(
        target=target.name,
        weights_hash=target.weights_hash,
        device=target.device.type,
        dtype=str(target.dtype).removeprefix('torch.'),
        quantization=target.quantization,
        step=engine.step.name,
        repetition_penalty=engine.settings.repetition_penalty,
        max_new_tokens=max_new_tokens,
        versions=(
            f'python {platform.python_version()}, numpy {numpy.__version__}, '
            f'torch {torch.__version__}, transformers {transformers.__version__}, '
            f'tokenizers {tokenizers.__version__}'
        ),
    )


def answered(
    engine: Engine,
    chat: ChatPrompt,
    prompt: Prompt,
    max_new_tokens: int,
    states: StateFile | None = None,
    ending: str = '',
) -> LengthRecord | None:
    """Answer a prompt greedily; None: prompt and longest answer do not fit the context.

    Arguments:
        chat: applies the chat template of the engine's tokenizer.
        max_new_tokens: N_max.
        states: receives the hidden states of the prompt.
        ending: text behind the prompt; the record has the hash of the prompt without it.
    """
    token_ids = chat.token_ids(prompt.text + ending)
    if len(token_ids) + max_new_tokens > engine.target.context_length:
        return None
    start_s = time.monotonic()
    with _reading(engine, len(token_ids), states) if states else nullcontext():
        prefilled = engine.prefill(token_ids, max_new_tokens, _NEVER)
    prefill_end_s = time.monotonic()
    tokens, last = 0, FinishReason.LENGTH
    for _, reason in engine.decode(prefilled, max_new_tokens, _NEVER):
        tokens += 1
        last = reason or last
    return LengthRecord(
        sha256=prompt.sha256,
        source=prompt.source,
        kind=prompt.kind,
        prompt_tokens=len(token_ids),
        response_tokens=tokens,
        finish_reason=last.name,
        prefill_s=round(prefill_end_s - start_s, 4),
        decode_s=round(time.monotonic() - prefill_end_s, 4),
    )


def _reading(
    engine: Engine, prompt_tokens: int, states: StateFile
) -> AbstractContextManager[None]:
    model = engine.target.model
    layers = state_layers(model.config.get_text_config().num_hidden_layers)
    reader = PrefillStates(
        model, layers, prompt_tokens, lambda values: states.add(values.cpu().numpy())
    )
    return reader.reading()
