"""Which models the compiled library computes."""

from typing import Any

import torch

from timebill_ros.inference.step import decoder_library

FAMILIES = ('LlamaForCausalLM', 'MistralForCausalLM', 'Qwen2ForCausalLM', 'Qwen3ForCausalLM')
"""transformers' classes whose layers the library computes."""


def why_not(model: Any) -> str:
    """Return why a model's step cannot be run natively, as a clause; '' if it can."""
    config, kind = model.config, type(model).__name__
    if no_library := decoder_library.why_not():
        return no_library
    if model.device.type not in ('cpu', 'meta'):  # no weights yet: they will be on the CPU
        return f'the model is on {model.device.type}'
    if kind not in FAMILIES:
        return f'{kind} is not one of {", ".join(FAMILIES)}'
    if model.dtype not in (torch.float32, torch.bfloat16):
        return f'dtype is {model.dtype}, not float32 or bfloat16'
    if config.hidden_act != 'silu':
        return f'its activation is {config.hidden_act}, not silu'
    head_size = model.model.layers[0].self_attn.head_dim
    if head_size % 32 or head_size > decoder_library.LARGEST_HEAD:
        return f'its heads have {head_size} elements, not a multiple of 32 up to 256'
    if config.hidden_size % 32 or config.intermediate_size % 32:
        return 'its layers have no multiple of 32 elements'
    return ''
