"""Which weights of a model a native step reads in 4 or 8 bits, and what that costs."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from timebill_ros.inference.cache.kv_cache import KVCache
from timebill_ros.inference.step import native_step
from timebill_ros.inference.step.generic_step import forward
from timebill_ros.inference.step.native_step import NativeStep
from timebill_ros.inference.step.quantization import (
    GROUP,
    PackedWeight,
    packed,
    quantize,
)

CHOICES = ('auto', 'none', 'int8', 'int4')
HEAD = 'lm_head'
"""Stays in 8 bits: its errors go straight into the choice of the token."""

FILE = 'quantized.safetensors'
"""In a converted model's folder: the weights that were in 4 or 8 bits in the GGUF file."""
_TEXT = (
    'The robot drove through the warehouse and stopped in front of the third shelf. It measured '
    'the distance to the box, lowered its arm, and closed the gripper until the sensor reported a '
    'force of two newtons. Then it lifted the box, turned around, and brought it to the table.'
)

Quantized = dict[str, PackedWeight]
"""By the name of the linear module."""


def load(folder: Path) -> Quantized:
    """Return the weights that a conversion has stored; nothing where nothing was."""
    if not (folder / FILE).is_file():
        return {}
    weights: Quantized = {}
    for key, data in load_file(folder / FILE).items():
        name, _, bits = key.rpartition(':')
        # A copy: what is read from the file lies at any address, and rows would cross cache lines.
        weights[name] = PackedWeight(int(bits), data.clone())
    return weights


def chosen_weights(model: Any, quantization: str, stored: Quantized) -> Quantized:
    """Return what is to be read in 4 or 8 bits.

    Arguments:
        model: with its plain weights.
        quantization: 'auto': what is stored so; 'none': nothing; 'int8': all; 'int4': all but the
            head, which takes 8 bits.
        stored: weights that lose nothing.

    Raises:
        ValueError: the model's step cannot be run natively, or the choice is none of these.
    """
    if quantization not in CHOICES:
        raise ValueError(f'quantization must be one of {", ".join(CHOICES)}, got {quantization!r}')
    why_not = native_step.why_not(model)
    if quantization == 'none' or (quantization == 'auto' and why_not):
        return {}
    if why_not:
        raise ValueError(f"quantization {quantization!r} is for the CPU's native step: {why_not}")
    if quantization == 'auto':
        return stored
    bits, weights = int(quantization.removeprefix('int')), {}
    for name, weight in _linear_weights(model):
        wanted = 8 if name == HEAD else bits
        known = stored.get(name)
        if known is not None and known.bits == wanted:
            weights[name] = known
        else:
            weights[name] = packed(quantize(weight, wanted))
    return weights


def quantization_name(weights: Mapping[str, PackedWeight]) -> str:
    """Return 'none', 'int8' or 'int4': the smallest that is used."""
    return f'int{min(w.bits for w in weights.values())}' if weights else 'none'


def log_likelihood(model: Any, step: NativeStep, token_ids: list[int]) -> float:
    """Return the mean log-likelihood of tokens but the first [nats], as a step computes it."""
    cache = KVCache(model.config, len(token_ids), lambda: None)
    logits = forward(model, torch.tensor(token_ids[:1]), 0, cache)
    total = 0.0
    with step.answering(cache, 1, len(token_ids)) as answering:
        for token in token_ids[1:]:
            total += float(logits.log_softmax(-1)[token])
            logits = answering.logits(torch.tensor(token))
    return total / (len(token_ids) - 1)


def log_loss(model: Any, weights: Quantized, tokenizer: Any) -> None:
    """Log what rounding has cost in log-likelihood of a text."""
    token_ids = tokenizer(_TEXT, add_special_tokens=False)['input_ids']
    threads = torch.get_num_threads()
    plain, rounded = (
        log_likelihood(model, NativeStep(model, used, threads), token_ids)
        for used in ({}, weights)
    )
    logging.info(
        'quantization %s: log-likelihood of a text of %d tokens %.3f a token, %.3f without',
        quantization_name(weights),
        len(token_ids),
        rounded,
        plain,
    )


def _linear_weights(model: Any) -> list[tuple[str, torch.Tensor]]:
    return [
        (name, module.weight.detach())
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module.in_features % GROUP == 0
    ]
