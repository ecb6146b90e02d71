"""The model's own eager attention, as the reference of what the engine computes."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedConfig
from transformers.masking_utils import eager_mask

_MASKED = 'timebill_masked'
_kept: dict[int, torch.Tensor] = {}


def use_attention(model: Any, name: str) -> None:
    """Let a model's modules use an attn_implementation from now on.

    transformers' own set_attn_implementation() passes over classes with an attention of their own,
    though their masks depend on it too.
    """
    for module in model.modules():
        if isinstance(config := getattr(module, 'config', None), PreTrainedConfig):
            config._attn_implementation = name


@contextmanager
def attention(model: Any, name: str) -> Iterator[None]:
    """Let a model's modules use an attn_implementation for a while."""
    before = model.config._attn_implementation
    use_attention(model, name)
    try:
        yield
    finally:
        use_attention(model, before)


@contextmanager
def eager_attention(model: Any, kept: Mapping[int, torch.Tensor]) -> Iterator[None]:
    """Let a model use its eager attention over whole sequences, as if prompt tokens were evicted.

    Arguments:
        kept: {layer: boolean (kv_heads, prompt_tokens)}: what the tokens after the prompt see of
            it; layers that are not in it see all.
    """
    _kept.update(kept)
    try:
        with attention(model, _MASKED if kept else 'eager'):
            yield
    finally:
        _kept.clear()


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **kwargs: Any,
) -> Any:
    own = sys.modules[type(module).__module__].eager_attention_forward
    kept = _kept.get(int(module.layer_idx))  # type: ignore[arg-type]
    if kept is not None:
        prompt, length, heads = kept.shape[1], query.shape[2], query.shape[1]
        hidden = query.new_zeros(1, heads, length, length)
        evicted = ~kept.repeat_interleave(heads // kept.shape[0], 0)
        hidden[:, :, prompt:, :prompt].masked_fill_(
            evicted[None, :, None], torch.finfo(query.dtype).min
        )
        attention_mask = hidden if attention_mask is None else attention_mask + hidden
    return own(module, query, key, value, attention_mask, **kwargs)


AttentionInterface.register(_MASKED, _attend)
AttentionMaskInterface.register(_MASKED, eager_mask)
