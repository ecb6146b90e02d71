"""A model whose weights stay in one file, mapped into memory: codes as the step reads them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, GenerationConfig

from timebill_ros.inference import attention
from timebill_ros.inference.loading.streamed_safetensors import StreamedSafetensors
from timebill_ros.inference.loading.weights_check import named
from timebill_ros.inference.step.packed_modules import PackedEmbedding, PackedLinear
from timebill_ros.inference.step.packed_weight import BLOCK, PackedWeight
from timebill_ros.inference.step.quantization import BITS, GROUP

FILE = 'packed.safetensors'
"""Holds 'NAME:KIND' for each matrix, and all other tensors under their names."""

_ALIGNMENT = 64  # a cache line, also the widest register


def model_on_meta(config: Any, dtype: torch.dtype) -> Any:
    """Return a model of no weights, which takes no memory."""
    with torch.device('meta'):
        return AutoModelForCausalLM.from_config(
            config, dtype=dtype, attn_implementation=attention.NAME
        ).eval()


def matrices(model: Any) -> dict[str, Any]:
    """Return the modules whose weights are packed or can be, by their names."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, PackedLinear | PackedEmbedding)
        or (
            isinstance(module, torch.nn.Linear | torch.nn.Embedding)
            and module.weight.shape[1] % GROUP == 0
        )
    }


class PackedFile:
    """Writes a model's weights; use as a context manager.

    Arguments:
        folder: where it is made.
        most: so many tensors are written at most.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self._file = StreamedSafetensors(folder / FILE, most)

    def __enter__(self) -> 'PackedFile':
        self._file.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._file.__exit__(*error)

    def add(self, name: str, values: torch.Tensor) -> None:
        """Append a tensor that is not packed."""
        assert values.nbytes % _ALIGNMENT == 0, name
        self._file.add(name, values)

    def add_packed(self, name: str, rows: int, parts: Iterator[PackedWeight]) -> None:
        """Append a matrix of some parts, all but the last one of a multiple of 32 rows."""
        for index, part in enumerate(parts):
            if index == 0:
                first = -(-rows // BLOCK) if part.kind in BITS else rows
                shape = [first, part.data.shape[1]]
                self._file.begin(f'{name}:{part.kind}', part.data.dtype, shape)
            self._file.rows(part.data)


def load(folder: Path, config: Any, dtype: torch.dtype) -> tuple[Any, dict[str, PackedWeight]]:
    """Return a model and the packed weights of its linear modules, by their names.

    Arguments:
        folder: with the file, and generation_config.json.
        dtype: of what is not packed.

    Raises:
        ValueError: a tensor is missing; a clause.
    """
    model = model_on_meta(config, dtype)
    found = load_file(folder / FILE)
    shapes: dict[str, Any] = {
        f'{name}.weight': module.weight.shape for name, module in matrices(model).items()
    }
    weights = {}
    for key, data in found.items():
        name, _, kind = key.partition(':')
        if kind:
            rows, columns = shapes[name]
            weights[name] = PackedWeight(kind, rows, columns, data)
            _touch(data)
        else:
            parameter = torch.nn.Parameter(data.to(dtype), requires_grad=False)
            _set(model, name, parameter)
    for tied, source in model.all_tied_weights_keys.items():
        if source in weights:
            weights[tied] = weights[source]
    linear = {}
    for name, module in matrices(model).items():
        packed = weights.get(f'{name}.weight')
        if packed is None:
            continue
        if isinstance(module, torch.nn.Embedding):
            _set(model, name, PackedEmbedding(packed, dtype))
        else:
            linear[name] = packed
            _set(model, name, PackedLinear(packed, module.bias))
    model.model.rotary_emb = type(model.model.rotary_emb)(config=config)
    if missing := [name for name, values in _tensors(model) if values.is_meta]:
        raise ValueError(f'its converted files lack {named(missing)}')
    model.generation_config = GenerationConfig.from_pretrained(folder)
    return model, linear


def _tensors(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _set(model: Any, name: str, value: Any) -> None:
    parent, _, attribute = name.rpartition('.')
    setattr(model.get_submodule(parent), attribute, value)


def _touch(data: torch.Tensor) -> None:
    """Read a byte of each page: the first answer would wait for the disk otherwise."""
    data.flatten().view(torch.uint8)[::4096].max()
