"""Tiny random models with attention, layers or caches that are not the usual ones."""

from functools import cache
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from support.tiny_models import CONTEXT_TOKENS, target_of
from timebill_ros.inference import attention
from timebill_ros.inference.loading.model_loader import TargetModel

_SHAPE = {
    'vocab_size': 96,
    'hidden_size': 64,
    'intermediate_size': 64,
    'num_hidden_layers': 4,
    'num_attention_heads': 4,
    'num_key_value_heads': 2,
    'head_dim': 32,
    'max_position_embeddings': CONTEXT_TOKENS,
    'initializer_range': 0.2,
    'pad_token_id': 2,
}
_WINDOWS = {'sliding_window': 12, 'layer_types': ['sliding_attention', 'full_attention'] * 2}
_SHARED = {'num_kv_shared_layers': 2, 'hidden_size_per_layer_input': 16, **_WINDOWS}


def _config(kind: str, without: tuple[str, ...] = (), **more: Any) -> Any:
    shape = {name: value for name, value in _SHAPE.items() if name not in without}
    return AutoConfig.for_model(kind, **(shape | more))


_CONFIGS: dict[str, Any] = {
    # Attention sinks
    'gpt_oss': lambda: _config(
        'gpt_oss', num_local_experts=4, num_experts_per_tok=2, sliding_window=12
    ),
    # ALiBi
    'bloom': lambda: AutoConfig.for_model(
        'bloom', vocab_size=96, hidden_size=64, n_layer=2, n_head=4, initializer_range=0.2
    ),
    'mpt': lambda: AutoConfig.for_model(
        'mpt', vocab_size=96, d_model=64, n_heads=4, n_layers=2, initializer_range=0.2
    ),
    # Classes that know only their own kinds of attention
    'falcon': lambda: AutoConfig.for_model(
        'falcon', vocab_size=96, hidden_size=64, num_hidden_layers=2, num_attention_heads=4
    ),
    # Layers that share keys and values
    'gemma3n': lambda: _config(
        'gemma3n_text',
        vocab_size_per_layer_input=96,
        laurel_rank=8,
        altup_num_inputs=2,
        activation_sparsity_pattern=[0.0] * 4,
        **_SHARED,
    ),
    'gemma4': lambda: _config('gemma4_text', vocab_size_per_layer_input=96, **_SHARED),
    # Latent attention
    'deepseek_v2': lambda: _config(
        'deepseek_v2',
        without=('head_dim',),
        num_key_value_heads=4,
        q_lora_rank=None,
        kv_lora_rank=16,
        qk_nope_head_dim=16,
        qk_rope_head_dim=16,
        v_head_dim=24,
        n_routed_experts=4,
        num_experts_per_tok=2,
        first_k_dense_replace=2,
        moe_intermediate_size=32,
        n_shared_experts=1,
        n_group=1,
        topk_group=1,
    ),
    # Layers that keep a state
    'lfm2': lambda: _config(
        'lfm2',
        without=('head_dim',),
        layer_types=['conv', 'full_attention'] * 2,
        block_auto_adjust_ff_dim=False,
    ),
    'qwen3_5': lambda: _config(
        'qwen3_5_text',
        layer_types=['linear_attention', 'full_attention'] * 2,
        linear_num_value_heads=4,
        linear_num_key_heads=2,
        linear_key_head_dim=16,
        linear_value_head_dim=16,
    ),
    'mamba': lambda: AutoConfig.for_model(
        'mamba', vocab_size=96, hidden_size=64, num_hidden_layers=2
    ),
    'rwkv': lambda: AutoConfig.for_model(
        'rwkv', vocab_size=96, hidden_size=64, num_hidden_layers=2, attention_hidden_size=64
    ),
    # Positions of its own counting
    'roberta': lambda: AutoConfig.for_model(
        'roberta',
        vocab_size=96,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        is_decoder=True,
        initializer_range=0.2,
    ),
}
UNUSUAL = tuple(_CONFIGS)


@cache
def _weights(kind: str) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(_CONFIGS[kind]())
    for values in model.state_dict().values():
        if values.ndim == 1 and values.is_floating_point():
            values += 0.1 * torch.randn_like(values)  # sinks and biases, which begin as zero
    return model.state_dict()


def unusual_model(kind: str, implementation: str = 'eager') -> Any:
    """Return the model, in fp32, with an attention."""
    model = AutoModelForCausalLM.from_config(
        _CONFIGS[kind](), attn_implementation=implementation
    ).eval()
    model.load_state_dict(_weights(kind))
    return model


def unusual_target(kind: str) -> TargetModel:
    """Return the model as the loader gives it to the engine."""
    try:
        return target_of(kind, unusual_model(kind, attention.NAME))
    except KeyError:
        return target_of(kind, unusual_model(kind))
