"""The oracle of an evicted cache: stock attention over the whole cache, evicted keys masked."""

from contextlib import contextmanager

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

NAME = 'evicted_positions_masked'
_kept: dict[int, torch.Tensor] = {}


@contextmanager
def only(kept):
    """Hide prompt tokens from the layers.

    Arguments:
        kept: {layer: boolean (kv_heads, prompt_tokens)}; newer tokens are all visible.
    """
    _kept.update(kept)
    try:
        yield
    finally:
        _kept.clear()


def _attend(module, query, key, value, attention_mask, scaling, **_):
    groups = query.shape[1] // key.shape[1]
    scores = query @ key.repeat_interleave(groups, 1).transpose(2, 3) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    if module.layer_idx in _kept:
        kept = _kept[module.layer_idx].repeat_interleave(groups, 0)
        prompt_tokens = kept.shape[1]
        scores[..., :prompt_tokens].masked_fill_(~kept[None, :, None], float('-inf'))
    output = scores.softmax(-1) @ value.repeat_interleave(groups, 1)
    return output.transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, eager_mask)
