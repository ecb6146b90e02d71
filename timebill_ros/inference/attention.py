"""One attention function for any architecture that transformers dispatches.

Stock attention repeats the KV heads to the number of query heads and, at one query token, runs a
slow kernel. Here the query heads that share a KV head become rows of one product.
"""

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from timebill_ros.inference.cache.observation_window import recorder

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
"""What scaled_dot_product_attention runs on a CPU; returns the log-sum-exp of the scores too."""

NAME = 'timebill'
"""The attn_implementation under which it is registered."""


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attend from the newest tokens to all cached ones.

    Arguments:
        module: the layer's, of transformers; its layer_idx counts from 0.
        query: (batch, heads, query_length, head_dim), after the rotary embedding.
        key, value: (batch, kv_heads, length, head_dim), the query's own tokens last.
        attention_mask: boolean (batch, 1, query_length, length), True where it may look; None is
            causal.
        scaling: factor of the scores; None is head_dim ** -0.5.
        softcap: bound of the scores (Gemma 2); None is none.
        s_aux: attention sinks (gpt-oss); they are not computed here.

    Returns:
        (batch, query_length, heads, head_dim), and no weights.

    Raises:
        NotImplementedError: the model has attention sinks.
    """
    if s_aux is not None:
        raise NotImplementedError('attention sinks are not computed')
    batch, heads, query_length, head_dim = query.shape
    kv_heads, length = key.shape[1], key.shape[2]
    if (observation := recorder()) is not None:
        observation.see(module.layer_idx, query, scaling, softcap)
    if softcap is not None:
        output = _soft_capped(query, key, value, attention_mask, scaling, softcap)
    elif query_length == 1:
        grouped = query.reshape(batch, kv_heads, heads // kv_heads, head_dim)
        output = scaled_dot_product_attention(
            grouped, key, value, attn_mask=attention_mask, scale=scaling
        )
        output = output.reshape(batch, heads, 1, -1)
    else:
        is_first_chunk = attention_mask is None and length == query_length
        if attention_mask is None and not is_first_chunk:
            # The flash kernel wants values of the keys' size; latent attention (MLA) has others.
            if query.device.type == 'cpu' and key.shape[-1] == value.shape[-1]:
                return _later_chunk(query, key, value, scaling).transpose(1, 2).contiguous(), None
            attention_mask = _causal_mask(query_length, length, query.device)
        if attention_mask is not None and query.device.type != 'cpu':
            output = _masked(query, key, value, attention_mask, scaling)
            return output.transpose(1, 2).contiguous(), None
        output = scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=attention_mask,
            is_causal=is_first_chunk,
            scale=scaling,
            enable_gqa=heads != kv_heads,
        )
    return output.transpose(1, 2).contiguous(), None


def _later_chunk(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None
) -> torch.Tensor:
    """Attend to the tokens before a chunk, then causally to the chunk; join both by log-sum-exp.

    This needs no mask. Masked attention is up to a seventh slower on a CPU, and the mask grows
    with the product of both lengths.
    """
    batch, heads, query_length, head_dim = query.shape
    kv_heads, past = key.shape[1], key.shape[2] - query_length
    group = heads // kv_heads
    # Without a mask, the query heads that share a KV head are just more queries.
    grouped = query.reshape(batch, kv_heads, group * query_length, head_dim)
    before, before_sum = _flash(
        grouped, key[:, :, :past], value[:, :, :past], 0.0, False, scale=scaling
    )
    own, own_sum = _flash(
        query,
        key[:, :, past:].repeat_interleave(group, dim=1),
        value[:, :, past:].repeat_interleave(group, dim=1),
        0.0,
        True,
        scale=scaling,
    )
    share = torch.sigmoid(before_sum.reshape(batch, heads, query_length) - own_sum)[..., None]
    before = before.reshape(batch, heads, query_length, head_dim)
    return torch.lerp(own.float(), before.float(), share).to(query.dtype)


def _masked(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    scaling: float | None,
) -> torch.Tensor:
    """Attend on a GPU under a mask, which is the same for all heads.

    There, torch's memory-efficient kernel takes masks, but no query heads that share a KV head;
    with both, all scores of a chunk would be written to memory, head by head in fp32. So the query
    heads that share a KV head become more queries.
    """
    batch, heads, query_length, head_dim = query.shape
    kv_heads = key.shape[1]
    group = heads // kv_heads
    grouped = query.reshape(batch, kv_heads, group * query_length, head_dim)
    rows = [1] * (mask.dim() - 2) + [group, 1]
    output = scaled_dot_product_attention(
        grouped, key, value, attn_mask=mask.repeat(rows), scale=scaling
    )
    return output.reshape(batch, heads, query_length, -1)


def _causal_mask(query_length: int, length: int, device: torch.device) -> torch.Tensor:
    positions = torch.arange(length, device=device)
    return positions <= positions[length - query_length :, None]


def _soft_capped(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float | None,
    softcap: float,
) -> torch.Tensor:
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    scores = (
        query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    )
    scores = torch.tanh(scores / softcap) * softcap
    if mask is None:
        mask = _causal_mask(query.shape[2], key.shape[2], query.device)
    scores = scores.masked_fill(~mask, float('-inf'))
    return torch.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype) @ value


def causal_or_built_mask(*args: Any, **kwargs: Any) -> torch.Tensor | None:
    """Return None for plain causal attention, else the boolean mask that transformers builds.

    Attention is not plain if it has a sliding window (local_size), if some tokens are masked, or
    if the model allows more than causal attention (it then forbids the skip).
    """
    is_plain = (
        kwargs.get('local_size') is None
        and kwargs.get('attention_mask') is None
        and kwargs.get('allow_is_causal_skip', True)
    )
    return None if is_plain else sdpa_mask(*args, **kwargs)


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, causal_or_built_mask)
