"""Measures what a step over several tokens costs on this machine."""

import time
from collections.abc import Sequence
from typing import Any

import torch

from timebill_ros.core.deadline import Clock
from timebill_ros.inference.cache.kv_cache import KVCache
from timebill_ros.inference.step.decoder_library import MOST_TOKENS
from timebill_ros.inference.step.native_step import NativeStep

CACHED_TOKENS = (512, 2046)
"""Attention takes a larger part of the longer one's, whose tokens are in two tiles of keys."""
ROUNDS = 5
"""The shortest time of each counts: on a busy machine, others take a part of the longer ones."""


def step_costs(
    step: NativeStep,
    model: Any,
    clock: Clock = time.perf_counter,
    cached_tokens: Sequence[int] = CACHED_TOKENS,
) -> tuple[float, ...]:
    """Return the times of a step over 1, 2, ... tokens, in steps over one token.

    Each is at least that of fewer tokens, and at most what single steps would take. Of several
    lengths, the dearest counts.

    Arguments:
        step: used by no one else meanwhile.
        model: the same model, of transformers.
        clock: seconds.
        cached_tokens: so many each of these attends to, at most what the model can.
    """
    most = model.config.max_position_embeddings - MOST_TOKENS
    of_each = [_costs(step, model, clock, min(most, tokens)) for tokens in cached_tokens]
    return tuple(map(max, zip(*of_each, strict=True)))


def _costs(step: NativeStep, model: Any, clock: Clock, cached_tokens: int) -> list[float]:
    cache = _zeros(model, cached_tokens)
    logits = torch.empty(MOST_TOKENS, step.vocabulary)
    least_s = [float('inf')] * MOST_TOKENS
    with step.answering(cache, cached_tokens, MOST_TOKENS):
        for _ in range(ROUNDS):
            for tokens in range(1, MOST_TOKENS + 1):
                start_s = clock()
                step.several(range(tokens), logits)
                least_s[tokens - 1] = min(clock() - start_s, least_s[tokens - 1])
                step.rewind(tokens)
    costs = [1.0]
    for tokens, seconds in enumerate(least_s[1:], start=2):
        costs.append(min(max(seconds / least_s[0], costs[-1]), float(tokens)))
    return costs


def _zeros(model: Any, tokens: int) -> KVCache:
    """Return a cache of zeros: what was never written to may hold numbers that are slow."""
    config = model.config
    head_size = model.model.layers[0].self_attn.head_dim
    shape = (1, config.num_key_value_heads, tokens + MOST_TOKENS, head_size)
    memory = [
        (torch.zeros(shape, dtype=model.dtype), torch.zeros(shape, dtype=model.dtype))
        for _ in range(config.num_hidden_layers)
    ]
    cache = KVCache(config, tokens + MOST_TOKENS, lambda: None)
    cache.take(memory, tokens)
    return cache
