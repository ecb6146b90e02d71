"""From the parameter `model` to weights on a device, a tokenizer, and what is known of both."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from timebill_ros.inference.loading.chat_template import REMEDY, read_chat_template
from timebill_ros.inference.loading.context_length import context_length
from timebill_ros.inference.loading.device_choice import choose_device, choose_dtype
from timebill_ros.inference.loading.folder_fault import folder_fault, json_fault
from timebill_ros.inference.loading.gguf_cache import converted_folder, gguf_hash
from timebill_ros.inference.loading.model_quantization import CHOICES, quantization_name
from timebill_ros.inference.loading.model_source import BUILT_IN, locate
from timebill_ros.inference.loading.packed_loading import (
    ModelFolder,
    can_be_packed,
    loaded_packed,
)
from timebill_ros.inference.loading.plain_model import checked_config, plain_model
from timebill_ros.inference.loading.prepacked_linear import prepack
from timebill_ros.inference.loading.weights_check import check_tokenizer
from timebill_ros.inference.step import decoder_library, native_families
from timebill_ros.inference.step.packed_weight import PackedWeight

BUILT_IN_REPETITION_PENALTY = 1.05
"""Chosen by looking at 30 answers of at most 256 tokens. At 1.0, 16 ended and 5 fell into an exact
loop; at 1.05, 18 ended and none looped; at 1.1, 20 ended, but sums and copying from the prompt
went wrong that were right before; at 1.2 most of the 26 looked at wandered off."""

_HASHED_BYTES = 1 << 20


@dataclass(frozen=True)
class TargetModel:
    """The target language model, ready to run.

    Arguments:
        name: how it is called in logs and diagnostics.
        model: a decoder-only transformers model in eval mode, its attention ours.
        tokenizer: its fast tokenizer, with a chat template.
        stop_token_ids: any of these ends an answer.
        context_length: prompt and response together fit in this many tokens.
        weights_hash: tells other weights of the same name and shape apart, whatever the dtype.
        repetition_penalty: what suits this model, for those who do not choose one.
        quantized: weights that the compiled step reads, by the name of their module.
        evicts: prompt tokens may be evicted from its cache.
    """

    name: str
    model: Any
    tokenizer: Any
    stop_token_ids: frozenset[int]
    context_length: int
    weights_hash: str
    repetition_penalty: float
    device: torch.device
    dtype: torch.dtype
    quantized: Mapping[str, PackedWeight] = field(default_factory=dict)
    evicts: bool = True

    @property
    def quantization(self) -> str:
        """'none', or 'int' with the smallest size of a code."""
        return quantization_name(self.quantized)


def load_target(
    source: str,
    device: str = 'auto',
    dtype: str = 'auto',
    quantization: str = 'auto',
    chat_template: str = '',
) -> TargetModel:
    """Load the target.

    Arguments:
        source: the built-in model's name, a GGUF file, a Hugging Face folder, or a hub id
            'owner/name'.
        device: 'auto' (CUDA where there is one), 'cpu', 'cuda', 'cuda:N'.
        dtype: 'auto', 'float32', 'bfloat16', 'float16'.
        quantization: 'auto' (as a GGUF file has it; 8 bits of other files), 'none', 'int8',
            'int4'; on a CPU, of what the compiled step serves.
        chat_template: a file with the template to use; '': the model's own.

    Raises:
        ValueError: one sentence that names the parameter, its value and what would do.
        ConnectionError: a hub model cannot be downloaded now; one sentence.
    """
    if quantization not in CHOICES:
        raise ValueError(f'quantization must be one of {", ".join(CHOICES)}, got {quantization!r}')
    torch_device = choose_device(device)
    torch_dtype = choose_dtype(dtype, torch_device)
    template = read_chat_template(chat_template) if chat_template else ''
    location = locate(source)
    weights_hash = gguf_hash(location) if location.is_file() else ''
    reads_codes = torch_device.type == 'cpu' and not decoder_library.why_not()
    packs = reads_codes and quantization != 'none'
    quantized: Mapping[str, PackedWeight] = {}
    try:
        if location.is_file():
            location = converted_folder(location, weights_hash, torch_dtype, not template, packs)
        config = checked_config(location)
        if fault := json_fault(location / 'generation_config.json'):
            raise ValueError(fault)  # transformers passes over it, and answers would not end
        weights_hash = weights_hash or _weights_hash(config, location)
        tokenizer = AutoTokenizer.from_pretrained(str(location), local_files_only=True)
        if packs and can_be_packed(config, torch_dtype):
            model, quantized = loaded_packed(
                ModelFolder(location, config), torch_dtype, quantization, tokenizer
            )
        else:
            model = plain_model(location, torch_dtype)
        check_tokenizer(model, tokenizer)
    except (
        Exception
    ) as error:  # what transformers raises is not documented; all of it is the user's to read
        fault = folder_fault(location) if location.is_dir() else ''
        raise ValueError(
            f'model {source!r} cannot be loaded: {fault or _first_sentence(error)}'
        ) from error
    if not getattr(tokenizer, 'is_fast', False):
        raise ValueError(f'model {source!r} has no fast tokenizer (tokenizer.json)')
    tokenizer.chat_template = template or tokenizer.chat_template
    if not tokenizer.chat_template:
        raise ValueError(
            f'model {source!r} has no chat template: {REMEDY}, or take an instruct model'
        )
    if quantization in ('int8', 'int4') and not quantized:
        raise ValueError(
            f"quantization {quantization!r} is for the CPU's native step: "
            f'{native_families.why_not(model)}'
        )
    try:
        model = model.to(torch_device)
        if native_families.why_not(model):  # the compiled library reads all weights in place
            prepack(model)
    except (RuntimeError, MemoryError) as error:  # out of memory, most likely
        raise ValueError(
            f'model {source!r} cannot be put on device {str(torch_device)!r}: '
            f'{_first_sentence(error)}'
        ) from error
    return TargetModel(
        name=source,
        model=model,
        tokenizer=tokenizer,
        stop_token_ids=_stop_token_ids(model, tokenizer),
        context_length=context_length(source, model.config.get_text_config()),
        weights_hash=weights_hash,
        repetition_penalty=_repetition_penalty(source, model),
        device=torch_device,
        dtype=torch_dtype,
        quantized=quantized,
    )


def _weights_hash(config: Any, folder: Path) -> str:
    """Hash each weight file's size, beginning and end: gigabytes are not read for a key."""
    digest = hashlib.sha256(str(getattr(config, '_commit_hash', '')).encode())
    for path in sorted(folder.glob('*.safetensors')):
        digest.update(f'{path.name} {path.stat().st_size} '.encode())
        with path.open('rb') as file:
            digest.update(file.read(_HASHED_BYTES))
            file.seek(max(0, path.stat().st_size - _HASHED_BYTES))
            digest.update(file.read())
    return digest.hexdigest()


def _repetition_penalty(source: str, model: Any) -> float:
    if source == BUILT_IN:
        return BUILT_IN_REPETITION_PENALTY
    return float(getattr(model.generation_config, 'repetition_penalty', None) or 1.0)


def _stop_token_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    found: set[int] = set()
    for ids in (
        getattr(model.generation_config, 'eos_token_id', None),
        getattr(model.config.get_text_config(), 'eos_token_id', None),
        tokenizer.eos_token_id,
    ):
        found.update([ids] if isinstance(ids, int) else ids or ())
    return frozenset(found)


def _first_sentence(error: Exception) -> str:
    first = str(error).strip().split('\n')[0]
    if isinstance(error, OSError | ValueError | RuntimeError) and first:
        return first
    return f'{type(error).__name__} {first}'.strip()
