"""Initialises a new classification head with the most common lengths."""

from collections.abc import Sequence
from typing import Any

import torch


def last_linear(model: torch.nn.Module, classes: int) -> torch.nn.Linear:
    """Return the layer whose outputs are a model's logits.

    Raises:
        IndexError: no layer has this number of outputs.
    """
    layers = [part for part in model.modules() if isinstance(part, torch.nn.Linear)]
    return [layer for layer in layers if layer.out_features == classes][-1]


def start_layer(
    model: torch.nn.Module,
    layer: torch.nn.Linear,
    start: torch.Tensor,
    prompts: Sequence[torch.Tensor],
) -> None:
    """Initialise a layer so that it gives about the same logits for every prompt.

    Most buckets contain no answer. A small set of prompts does not teach this to random weights,
    and the median of their prediction is then arbitrary.

    Arguments:
        model: takes input_ids and attention_mask; the layer is its last.
        start: (classes,), the logits.
        prompts: token ids, (length,) each. If the layer has no bias, it gives the logits for the
            mean of its inputs for these prompts.
    """
    with torch.no_grad():
        if layer.bias is not None:
            layer.bias.copy_(start)
            return
        mean = _mean_input(model, layer, prompts)
        layer.weight += torch.outer(start.to(mean), mean) / mean.dot(mean)


def _mean_input(
    model: torch.nn.Module, layer: torch.nn.Linear, prompts: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Return (inputs,), the mean input of a layer for the last tokens of prompts."""
    given: list[torch.Tensor] = []

    def see(_: torch.nn.Module, inputs: Any) -> None:
        given.append(inputs[0].reshape(-1, layer.in_features)[-1])

    hook = layer.register_forward_pre_hook(see)
    device = layer.weight.device
    model.eval()
    for ids in prompts:
        rows = ids[None].to(device)
        model(input_ids=rows, attention_mask=torch.ones_like(rows))
    hook.remove()
    return torch.stack(given).mean(0)
