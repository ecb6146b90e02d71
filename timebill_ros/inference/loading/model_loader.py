"""From the parameter `model` to weights on a device, a tokenizer, and what is known of both."""

import hashlib
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
)

from timebill_ros.inference import attention
from timebill_ros.inference.loading import model_quantization
from timebill_ros.inference.loading.chat_template import REMEDY, read_chat_template
from timebill_ros.inference.loading.device_choice import choose_device, choose_dtype
from timebill_ros.inference.loading.gguf_cache import converted_folder, gguf_hash
from timebill_ros.inference.loading.model_quantization import Quantized
from timebill_ros.inference.loading.model_source import BUILT_IN, locate
from timebill_ros.inference.loading.prepacked_linear import prepack
from timebill_ros.inference.loading.weights_check import check_names, check_tokenizer

BUILT_IN_REPETITION_PENALTY = 1.05
"""Chosen by looking at 30 answers of at most 256 tokens. At 1.0, 16 ended and 5 fell into an exact
loop; at 1.05, 18 ended and none looped; at 1.1, 20 ended, but sums and copying from the prompt
went wrong that were right before; at 1.2 most of the 26 looked at wandered off."""

_HASHED_BYTES = 1 << 20
_UNKNOWN_CONTEXT = 2048


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
        quantized: weights that the decoding step reads in 4 or 8 bits.
        is_rounded: these lose something that the plain weights have.
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
    quantized: Quantized = field(default_factory=dict)
    is_rounded: bool = False
    evicts: bool = True

    @property
    def quantization(self) -> str:
        """'none', 'int8' or 'int4': what the decoding step reads."""
        return model_quantization.quantization_name(self.quantized)


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
        quantization: 'auto' (as a GGUF file has it, where that loses nothing), 'none', 'int8',
            'int4'; of the decoding step, on a CPU.
        chat_template: a file with the template to use; '': the model's own.

    Raises:
        ValueError: one sentence that names the parameter, its value and what would do.
        ConnectionError: a hub model cannot be downloaded now; one sentence.
    """
    torch_device = choose_device(device)
    torch_dtype = choose_dtype(dtype, torch_device)
    template = read_chat_template(chat_template) if chat_template else ''
    location = locate(source)
    weights_hash = gguf_hash(location) if location.is_file() else ''
    try:
        if location.is_file():
            location = converted_folder(location, weights_hash, torch_dtype, not template)
        tokenizer = AutoTokenizer.from_pretrained(str(location), local_files_only=True)
        model = _loaded_model(location, torch_dtype)
        check_tokenizer(model, tokenizer)
    except (
        Exception
    ) as error:  # what transformers raises is not documented; all of it is the user's to read
        raise ValueError(f'model {source!r} cannot be loaded: {_first_sentence(error)}') from error
    if not getattr(tokenizer, 'is_fast', False):
        raise ValueError(f'model {source!r} has no fast tokenizer (tokenizer.json)')
    tokenizer.chat_template = template or tokenizer.chat_template
    if not tokenizer.chat_template:
        raise ValueError(
            f'model {source!r} has no chat template: {REMEDY}, or take an instruct model'
        )
    try:
        model = model.to(torch_device).eval()
        stored = model_quantization.load(location)
        quantized = model_quantization.chosen_weights(model, quantization, stored)
        is_rounded = any(weight is not stored.get(name) for name, weight in quantized.items())
        if is_rounded:
            model_quantization.log_loss(model, quantized, tokenizer)
        prepack(model, quantized)
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
        context_length=_context_length(source, model.config.get_text_config()),
        weights_hash=weights_hash or _weights_hash(model.config),
        repetition_penalty=_repetition_penalty(source, model),
        device=torch_device,
        dtype=torch_dtype,
        quantized=quantized,
        is_rounded=is_rounded,
    )


def _loaded_model(folder: Path, dtype: torch.dtype) -> Any:
    config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    if getattr(config, 'is_encoder_decoder', False) or any(
        hasattr(config, name) for name in ('encoder_layers', 'num_encoder_layers')
    ):
        raise ValueError(
            f'{config.model_type} is an encoder-decoder, and only decoder-only models are served'
        )
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ValueError(
            f'{config.model_type} is not a decoder-only language model that transformers knows'
        )
    if (folder / 'adapter_config.json').is_file():
        logging.warning('the adapter in %s is not applied: merge it into the weights', folder)

    def load(attn_implementation: str) -> Any:
        return AutoModelForCausalLM.from_pretrained(
            str(folder),
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            attn_implementation=attn_implementation,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are told of below, by name
        )

    try:
        model, loading_info = load(attention.NAME)
    except (KeyError, ValueError) as error:
        if attention.NAME not in str(error):
            raise
        # A class that knows only its own kinds of attention (Falcon, MPT).
        model, loading_info = load('eager')
    check_names(model, loading_info)
    return model


def _context_length(source: str, config: Any) -> int:
    """Return how many tokens a prompt and its response may have."""
    names = ('max_position_embeddings', 'max_seq_len', 'n_positions', 'seq_length')
    lengths = [value for name in names if isinstance(value := getattr(config, name, None), int)]
    if not lengths:
        logging.warning(
            'model %r does not say its context length: %d is taken', source, _UNKNOWN_CONTEXT
        )
    length = lengths[0] if lengths else _UNKNOWN_CONTEXT
    original = _longrope_original(config)
    if original and original < length:
        logging.warning(
            'model %r is served up to %d of its %d tokens: past that, its longrope scaling '
            'changes what has been read',
            source,
            original,
            length,
        )
        return original
    return length


def _longrope_original(config: Any) -> int:
    """Return up to what length a model's rotary factors are those of short prompts; 0: always.

    Past it other factors hold for the whole prompt, also for the chunks that have been read.
    """
    rope = getattr(config, 'rope_parameters', None) or {}
    for parameters in (rope, *(value for value in rope.values() if isinstance(value, dict))):
        short, long = parameters.get('short_factor'), parameters.get('long_factor')
        if parameters.get('rope_type') == 'longrope' and short != long:
            original = parameters.get('original_max_position_embeddings')
            return int(original or getattr(config, 'original_max_position_embeddings', None) or 0)
    return 0


def _weights_hash(config: Any) -> str:
    """Hash each weight file's size, beginning and end: gigabytes are not read for a key."""
    digest = hashlib.sha256(str(getattr(config, '_commit_hash', '')).encode())
    for path in sorted(Path(config._name_or_path).glob('*.safetensors')):
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
