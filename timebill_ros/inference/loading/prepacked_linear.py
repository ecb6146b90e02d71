"""Linear layers whose bf16 weights lie as oneDNN's product on a CPU reads them.

torch would bring them into that order anew in each call: 10 to 20 ms a prompt with the built-in
model, a sixth of the time of a short one.
"""

from typing import Any

import torch

from timebill_ros.inference.step.packed_modules import PackedLinear
from timebill_ros.inference.step.packed_weight import PackedWeight

_TYPICAL_TOKENS = 128
"""oneDNN chooses the order for a number of rows; others run as well."""


class PrepackedLinear(torch.nn.Module):
    """Computes what a linear layer does.

    Arguments:
        weight: (out_features, in_features), in bf16 on a CPU.
        bias: (out_features,) or None.
        kept: the weight for those who read it as it was; None: no one does.
    """

    def __init__(
        self,
        weight: torch.Tensor,
        bias: torch.nn.Parameter | None,
        kept: torch.Tensor | None = None,
    ) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.bias, self.weight = bias, kept
        with torch.inference_mode():
            self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, _TYPICAL_TOKENS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (..., out_features) for (..., in_features)."""
        output: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self._packed, self.bias, 'none', [], ''
        )
        return output


def prepack(model: Any) -> None:
    """Prepack a model's linear layers but its head, where that is possible.

    Layers of codes are dequantized: transformers' prefill reads plain weights.

    Arguments:
        model: changed in place.
    """
    head = model.get_output_embeddings()
    for name, module in list(model.named_modules()):
        if isinstance(module, PackedLinear):
            weight = _dequantized(module.packed, model.dtype)
            if module is head or not _prepacks(model):
                linear = torch.nn.Linear(1, 1, bias=False, device='meta')
                linear.out_features, linear.in_features = weight.shape
                linear.weight = torch.nn.Parameter(weight, requires_grad=False)
                linear.register_parameter('bias', module.bias)
                _replace(model, name, linear)
            else:
                _replace(model, name, PrepackedLinear(weight, module.bias))
        elif type(module) is torch.nn.Linear and module is not head and _prepacks(model):
            weight = module.weight.detach()
            _replace(model, name, PrepackedLinear(weight, module.bias, kept=weight))


def _dequantized(packed: PackedWeight, dtype: torch.dtype) -> torch.Tensor:
    weight = torch.empty(packed.rows, packed.columns, dtype=dtype)
    for rows in torch.arange(packed.rows).split(1024):
        weight[rows] = packed.lookup(rows).to(dtype)
    return weight


def _prepacks(model: Any) -> bool:
    return bool(
        model.device.type == 'cpu'
        and model.dtype == torch.bfloat16
        and torch.backends.mkldnn.is_available()
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def _replace(model: Any, name: str, module: torch.nn.Module) -> None:
    parent, _, attribute = name.rpartition('.')
    setattr(model.get_submodule(parent), attribute, module)
