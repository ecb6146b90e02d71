"""A model's shape and weights as the compiled library is told of them."""

from collections.abc import Mapping
from typing import Any

import torch

from timebill_ros.inference.step.decoder_library import KINDS, Layer, Matrix, Model
from timebill_ros.inference.step.packed_weight import PackedWeight

_PROJECTIONS = {
    'query': 'self_attn.q_proj',
    'key': 'self_attn.k_proj',
    'value': 'self_attn.v_proj',
    'output': 'self_attn.o_proj',
    'gate': 'mlp.gate_proj',
    'up': 'mlp.up_proj',
    'down': 'mlp.down_proj',
}


class NativeModel:
    """What the library has pointers to lives as long as this.

    Arguments:
        model: of transformers, one of native_families.FAMILIES. Its weights are read in place.
        quantized: weights that replace the model's, by their module's name.
    """

    def __init__(self, model: Any, quantized: Mapping[str, PackedWeight]) -> None:
        self._alive: list[Any] = []
        self._quantized = quantized
        self.nbytes = 0
        """Bytes of weights that a step reads."""
        config = model.config
        self.layers = (Layer * config.num_hidden_layers)()
        for index, (layer, module) in enumerate(zip(self.layers, model.model.layers, strict=True)):
            self._fill(layer, module, f'model.layers.{index}')
        attention = model.model.layers[0].self_attn
        self.described = Model(
            layers=config.num_hidden_layers,
            hidden=config.hidden_size,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            head_size=attention.head_dim,
            intermediate=config.intermediate_size,
            cache_kind=KINDS[str(model.dtype).removeprefix('torch.')],
            epsilon=config.rms_norm_eps,
            scaling=attention.scaling,
            layer=self.layers,
            final_norm=self._floats(model.model.norm.weight),
            head=self._matrix(model.lm_head, 'lm_head'),
        )

    def _fill(self, layer: Layer, module: Any, name: str) -> None:
        layer.attention_norm = self._floats(module.input_layernorm.weight)
        layer.mlp_norm = self._floats(module.post_attention_layernorm.weight)
        for field, path in _PROJECTIONS.items():
            linear = module.get_submodule(path)
            setattr(layer, field, self._matrix(linear, f'{name}.{path}'))
        for field, path in (('query_norm', 'q_norm'), ('key_norm', 'k_norm')):
            norm = getattr(module.self_attn, path, None)
            setattr(layer, field, None if norm is None else self._floats(norm.weight))

    def _matrix(self, linear: torch.nn.Linear, name: str) -> Matrix:
        weight = self._quantized.get(name)
        if weight is None:
            plain = linear.weight.detach().contiguous()
            kind = str(plain.dtype).removeprefix('torch.')
            weight = PackedWeight(kind, linear.out_features, linear.in_features, plain)
        self._alive.append(weight)
        self.nbytes += weight.data.nbytes
        return weight.matrix(None if linear.bias is None else self._floats(linear.bias))

    def _floats(self, values: torch.Tensor) -> int:
        copy = values.detach().float().contiguous()
        self._alive.append(copy)
        return copy.data_ptr()
