"""Configurations of tiny models, from the defaults of any causal class of transformers."""

import inspect
from collections.abc import Iterator
from typing import Any

from transformers import AutoConfig

VOCABULARY = 260
CONTEXT = 512
_LAYERS = 4
_SIZES: dict[str, Any] = {
    'vocab_size': VOCABULARY,
    'hidden_size': 64,
    'intermediate_size': 64,
    'ffn_dim': 64,
    'decoder_ffn_dim': 64,
    'encoder_ffn_dim': 64,
    'num_hidden_layers': _LAYERS,
    'num_layers': _LAYERS,
    'decoder_layers': _LAYERS,
    'encoder_layers': 1,
    'num_attention_heads': 4,
    'decoder_attention_heads': 4,
    'encoder_attention_heads': 4,
    'attention_heads': 4,
    'num_key_value_heads': 2,
    'head_dim': 32,
    'max_position_embeddings': CONTEXT,
    'initializer_range': 0.2,
    'init_std': 0.2,
    'sliding_window': 12,
    'attention_chunk_size': 12,
    'attention_dropout': 0.0,
    'pad_token_id': 2,
    'bos_token_id': 1,
    'eos_token_id': 2,
    # Experts
    'num_experts': 4,
    'num_local_experts': 4,
    'n_routed_experts': 4,
    'num_experts_per_tok': 2,
    'moe_topk': 2,
    'n_shared_experts': 1,
    'n_group': 1,
    'topk_group': 1,
    'first_k_dense_replace': 2,
    'moe_intermediate_size': 32,
    'shared_expert_intermediate_size': 32,
    'shared_intermediate_size': 32,
    'expert_ffn_hidden_size': 32,
    'zero_expert_num': 1,
    # Latent attention
    'q_lora_rank': 16,
    'kv_lora_rank': 16,
    'qk_nope_head_dim': 16,
    'qk_rope_head_dim': 16,
    'v_head_dim': 24,
    'index_head_dim': 32,
    'index_n_heads': 2,
    'index_topk': 8,
    # Layers that share keys and values, and what goes with them
    'num_kv_shared_layers': 2,
    'hidden_size_per_layer_input': 16,
    'vocab_size_per_layer_input': VOCABULARY,
    'laurel_rank': 8,
    'altup_num_inputs': 2,
    'activation_sparsity_pattern': [0.0] * _LAYERS,
    # State spaces and linear attention
    'linear_num_value_heads': 4,
    'linear_num_key_heads': 2,
    'linear_key_head_dim': 16,
    'linear_value_head_dim': 16,
    'mamba_d_ssm': 64,
    'mamba_n_heads': 4,
    'mamba_d_head': 16,
    'mamba_d_state': 16,
    'mamba_num_heads': 4,
    'mamba_head_dim': 16,
    'lru_width': 64,
    'state_size': 16,
    # Others
    'word_embed_proj_dim': 64,
    'embedding_size': 64,
    'd_kv': 16,
    'n_positions': CONTEXT,
    'max_seq_len': CONTEXT,
}
"""By transformers' usual names. Only those that a configuration has are given to it."""
_UNLESS_OFF = ('sliding_window', 'attention_chunk_size', 'q_lora_rank')
_VARIANTS: tuple[dict[str, Any], ...] = (
    {},
    {'head_dim': None},
    {'num_key_value_heads': 4},
    {'num_key_value_heads': 4, 'head_dim': None},
    {'hidden_size': 128, 'head_dim': None},
    {'hidden_size': 128, 'num_key_value_heads': 4, 'q_lora_rank': None},
    {'hidden_size': 256, 'head_dim': None, 'num_key_value_heads': None},
)
"""Tried in turn: what differs from the sizes above; None leaves the default."""
_WINDOWS = {'layer_types': ['sliding_attention', 'full_attention'] * 2}
_OF_A_KIND: dict[str, dict[str, Any]] = {
    'bamba': {'attn_layer_indices': [1, 3], 'mamba_n_heads': 4, 'mamba_d_head': 32},
    'dbrx': {'d_model': 64, 'n_heads': 4, 'n_layers': 2},
    'gemma3_text': _WINDOWS,
    'gemma3n_text': _WINDOWS,
    'gemma4_text': _WINDOWS,
    'gemma4_unified_text': _WINDOWS,
    'gpt_neo': {'attention_types': [[['global', 'local'], 2]], 'window_size': 12},
    'granitemoehybrid': {
        'layer_types': ['mamba', 'attention'] * 2,
        'mamba_n_heads': 4,
        'mamba_d_head': 32,
    },
    'lfm2': {'block_auto_adjust_ff_dim': False, 'layer_types': ['conv', 'full_attention'] * 2},
    'lfm2_moe': {'layer_types': ['conv', 'full_attention'] * 2},
    'mamba2': {'num_heads': 4, 'head_dim': 32, 'n_groups': 1},
    'mpt': {'d_model': 64, 'n_heads': 4, 'n_layers': 2},
    'nemotron_h': {'n_groups': 1, 'layers_block_type': ['mamba', 'attention'] * 2},
    'reformer': {'axial_pos_embds': False, 'is_decoder': True},
    'xmod': {'default_language': 'en_XX', 'languages': ['en_XX']},
    'zamba2': {'n_mamba_heads': 4, 'mamba_headdim': 32, 'layer_types': ['mamba', 'hybrid'] * 2},
}
_DECODERS = (
    'bert',
    'electra',
    'roberta',
    'ernie',
    'camembert',
    'xmod',
    'data2vec',
    'roformer',
    'roc_bert',
)


def tiny_configs(kind: str) -> Iterator[Any]:
    """Yield configurations of a model type, the most usual one first; some cannot be built.

    Arguments:
        kind: such as 'llama'.
    """
    for variant in _VARIANTS:
        try:
            default = AutoConfig.for_model(kind)
            yield _tiny(type(default), default, kind, variant)
        except Exception:  # sizes that do not go together
            continue


def _tiny(cls: Any, default: Any, kind: str, variant: dict[str, Any]) -> Any:
    names = getattr(cls, 'attribute_map', {})
    accepted = set(inspect.signature(cls.__init__).parameters) | set(vars(default))
    sizes = {}
    for name, value in (_SIZES | variant).items():
        own = names.get(name, name)
        is_off = name in _UNLESS_OFF and getattr(default, own, None) is None
        if own in accepted and value is not None and not is_off:
            sizes[own] = value
    for name, sub_class in getattr(cls, 'sub_configs', {}).items():
        sub = getattr(default, name, None)
        if sub is not None and inspect.isclass(sub_class):
            sizes[name] = _tiny(type(sub), sub, sub.model_type, variant).to_dict()
    if any(part in kind for part in _DECODERS):
        sizes['is_decoder'] = True
    return cls(**(sizes | _OF_A_KIND.get(kind, {})))
