"""Evicts by SnapKV through the compiled library: in one call, on all its threads."""

import ctypes
from typing import TypeGuard

import torch

from timebill_ros.inference.cache.kv_cache import KVCache
from timebill_ros.inference.cache.observation_window import ObservationWindow
from timebill_ros.inference.cache.scorers.scorer import Scorer
from timebill_ros.inference.cache.scorers.snapkv import SnapKV
from timebill_ros.inference.interrupt import Interrupt, InterruptedGenerationError
from timebill_ros.inference.step import decoder_library
from timebill_ros.inference.step.decoder_library import INTERRUPTED, EvictedLayer, Eviction
from timebill_ros.inference.step.native_step import NativeStep


def scores_natively(scorer: Scorer) -> TypeGuard[SnapKV]:
    """Return whether the library does just what a scorer does."""
    return type(scorer) is SnapKV and (
        (scorer.pooling, scorer.window_aggregation, scorer.group_aggregation)
        == ('avg', 'max', 'max')
    )


def evict_natively(
    step: NativeStep,
    cache: KVCache,
    observed: ObservationWindow,
    prompt_tokens: int,
    kept_tokens: int,
    scorer: SnapKV,
    interrupt: Interrupt,
) -> dict[int, torch.Tensor]:
    """Shrink a prompt's part of a cache; see eviction.evict().

    Arguments:
        step: has the library's threads.
        observed: recorded by NativePrefill.
        scorer: one for which scores_natively().
        interrupt: looked at for each KV head of a layer.

    Returns:
        As eviction.evict().

    Raises:
        InterruptedGenerationError: the interrupt was due. The cache is as it was before.
        RuntimeError: there is not enough memory.
    """
    layers = [(i, layer) for i, layer in enumerate(cache.layers) if not layer.is_sliding]
    if not layers:
        return {}
    described, alive = (EvictedLayer * len(cache.layers))(), []
    stays: dict[int, torch.Tensor] = {}
    for index, layer in layers:
        kept = layer.length - prompt_tokens + kept_tokens
        _, kv_heads, _, head_size = layer.keys.shape
        shape = (1, kv_heads, kept + layer.capacity - layer.length, head_size)
        keys, values = layer.keys.new_empty(shape), layer.values.new_empty(shape)
        positions = torch.empty(kv_heads, kept_tokens, dtype=torch.int64)
        seen = observed[index]
        assert seen.log_sums is not None, 'NativePrefill records them'
        queries, log_sums = seen.queries.contiguous(), seen.log_sums.contiguous()
        described[index] = EvictedLayer(
            queries=queries.data_ptr(),
            log_sums=log_sums.data_ptr(),
            keys=keys.data_ptr(),
            values=values.data_ptr(),
            capacity=shape[2],
            positions=positions.data_ptr(),
        )
        alive.append((layer, keys, values, kept, queries, log_sums))
        stays[index] = positions
    eviction = Eviction(
        window=observed[layers[0][0]].queries.shape[1],
        kernel=scorer.kernel,
        sinks=scorer.sinks,
        always_last=scorer.window,
        prompt_tokens=prompt_tokens,
        kept_tokens=kept_tokens,
        layer=described,
        abort=interrupt.abort.address,
        deadline_ns=interrupt.at_ns,
    )
    interrupt.check()
    library = decoder_library.library()
    assert library is not None, 'the step has one'
    with step.holding(cache) as decoder:
        if library.timebill_decoder_evict(decoder, ctypes.byref(eviction)) == INTERRUPTED:
            raise InterruptedGenerationError
    interrupt.was_checked(eviction.longest_unchecked_ns / 1e9)
    for layer, keys, values, kept, *_ in alive:
        layer.take(keys, values, kept)
    return stays
