"""Packed models: as a GGUF file stores them, or rounded once."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

from timebill_ros.inference.loading import packed_model
from timebill_ros.inference.loading.conversion_cache import kept_folder
from timebill_ros.inference.loading.file_hash import file_identity
from timebill_ros.inference.loading.model_quantization import (
    RoundedConversion,
    log_loss,
    wanted_bits,
)
from timebill_ros.inference.loading.plain_model import checked_config, plain_model
from timebill_ros.inference.step import native_families
from timebill_ros.inference.step.packed_weight import PackedWeight

_BY_DEFAULT = 8
"""Bits of what was not quantized before."""


@dataclass(frozen=True)
class ModelFolder:
    """Where a model's files are.

    Arguments:
        path: a folder in Hugging Face format, or one that a conversion has made.
        config: its configuration.
    """

    path: Path
    config: Any

    @property
    def key(self) -> str:
        """A hash that changes with the weights or the configuration."""
        digest = hashlib.sha256()
        for pattern in ('*.safetensors', 'config.json', 'generation_config.json'):
            for path in sorted(self.path.glob(pattern)):
                digest.update(f'{path.name} {file_identity(path)} '.encode())
        return digest.hexdigest()


def can_be_packed(config: Any, dtype: torch.dtype) -> bool:
    """Whether the compiled step serves a model, so that no one else reads its weights."""
    kind = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)].__name__
    if kind not in native_families.FAMILIES:
        return False
    return not native_families.why_not(packed_model.model_on_meta(config, dtype))


def loaded_packed(
    folder: ModelFolder, dtype: torch.dtype, quantization: str, tokenizer: Any
) -> tuple[Any, Mapping[str, PackedWeight]]:
    """Return a model and the packed weights of its linear modules, by their names.

    Arguments:
        dtype: of what is not packed.
        quantization: 'auto', 'int8' or 'int4'. 'auto' takes what was packed as it is, all else
            in 8 bits.
        tokenizer: the model's, to measure what rounding costs.

    Raises:
        ValueError: the files are not those of its configuration, or no disk has room; a clause.
        Exception: whatever transformers raises for what it cannot read.
    """
    bits = _BY_DEFAULT if quantization == 'auto' else int(quantization.removeprefix('int'))
    model = None
    if (folder.path / packed_model.FILE).is_file():
        model, weights = packed_model.load(folder.path, folder.config, dtype)
        if quantization == 'auto' or all(
            weight.bits <= wanted_bits(name, bits) for name, weight in weights.items()
        ):
            return model, weights
    path = kept_folder(
        f'{folder.path.name[:60]}-{folder.key[:16]}-{str(dtype).removeprefix("torch.")}-int{bits}',
        lambda: RoundedConversion(model or plain_model(folder.path, dtype), tokenizer, bits),
        f'rounding the weights of {folder.path} to {bits} bits, once for this model',
    )
    log_loss(path)
    return packed_model.load(path, checked_config(path), dtype)
