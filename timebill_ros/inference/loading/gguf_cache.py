"""A GGUF file, converted once to a safetensors folder that loads in a second.

transformers takes some 20 s to dequantize a file of 135 M parameters; the outcome is kept, keyed
by the file's content and the dtype.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from timebill_ros.inference.loading import model_quantization

_LAYOUT = 'v2'
"""Part of the key: to be changed with what the folder holds."""


def cache_folder() -> Path:
    """Return where converted models and fitted time models are kept."""
    root = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(root) / 'timebill_ros'


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def converted_folder(gguf: Path, dtype: torch.dtype) -> Path:
    """Return a folder with a GGUF file's weights, plain and as stored, and its tokenizer.

    Arguments:
        dtype: of the plain weights.

    Raises:
        OSError, ValueError: transformers cannot read the file.
    """
    name = f'{gguf.stem}-{file_hash(gguf)[:16]}-{str(dtype).removeprefix("torch.")}-{_LAYOUT}'
    folder = cache_folder() / 'models' / name
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix='.converting-', dir=folder.parent))
    try:
        source = {
            'pretrained_model_name_or_path': str(gguf.parent),
            'gguf_file': gguf.name,
            'local_files_only': True,
        }
        AutoTokenizer.from_pretrained(**source).save_pretrained(unfinished)
        # In fp32 first: what the file has in 4 or 8 bits can be told from that, not from bf16.
        model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
        model_quantization.save(model_quantization.stored_weights(model), unfinished)
        model.to(dtype)
        # The weights are plain now; transformers would still refuse to save them as "quantized".
        model.config.__dict__.pop('quantization_config', None)
        model.is_quantized = False
        model.hf_quantizer = None
        model.save_pretrained(unfinished)
        unfinished.rename(folder)
    except OSError:
        if not folder.is_dir():  # another process may have been first
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder
