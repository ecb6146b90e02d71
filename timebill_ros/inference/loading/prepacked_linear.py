"""Linear layers whose bf16 weights lie as oneDNN's product on a CPU reads them.

torch would bring them into that order anew in each call: 10 to 20 ms a prompt with the built-in
model, a sixth of the time of a short one.
"""

from collections.abc import Container
from typing import Any

import torch

_TYPICAL_TOKENS = 128
"""oneDNN chooses the order for a number of rows; others run as well."""


class PrepackedLinear(torch.nn.Module):
    """Computes what a linear layer does.

    Arguments:
        linear: the layer, in bf16 on a CPU.
        keep_weight: keep its weight too, for those who read it as it was.
    """

    def __init__(self, linear: torch.nn.Linear, keep_weight: bool) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = linear.bias
        self.weight = linear.weight if keep_weight else None
        with torch.inference_mode():
            self._packed = torch.ops.mkldnn._reorder_linear_weight(
                linear.weight.detach(), _TYPICAL_TOKENS
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (..., out_features) for (..., in_features)."""
        output: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self._packed, self.bias, 'none', [], ''
        )
        return output


def prepack(model: Any, replaced: Container[str]) -> None:
    """Prepack a model's linear layers but its head, where that is possible.

    Arguments:
        model: changed in place.
        replaced: names of layers whose plain weights no one else reads: they are let go.
    """
    if model.device.type != 'cpu' or model.dtype != torch.bfloat16:
        return
    if (
        not torch.backends.mkldnn.is_available()
        or not torch.ops.mkldnn._is_mkldnn_bf16_supported()
    ):
        return
    head = model.get_output_embeddings()
    for name, module in list(model.named_modules()):
        if type(module) is torch.nn.Linear and module is not head:
            parent, _, attribute = name.rpartition('.')
            linear = PrepackedLinear(module, keep_weight=name not in replaced)
            setattr(model.get_submodule(parent), attribute, linear)
    # What is left would hold the whole file of weights in memory, mapped.
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
