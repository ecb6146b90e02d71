"""A GGUF file, converted once to a folder that loads in a second."""

import hashlib
from pathlib import Path

import torch

from timebill_ros.inference.loading.conversion_cache import kept_folder
from timebill_ros.inference.loading.file_hash import remembered_hash
from timebill_ros.inference.loading.gguf_conversion import GGUFConversion
from timebill_ros.inference.loading.gguf_file import GGUFFile, gguf_parts

_FIXED_S, _S_PER_GB = 5.0, 20.0
"""How long a conversion takes, by files of 98 and 491 MB (docs/models.md)."""


def gguf_hash(gguf: Path) -> str:
    """Return a hash of a GGUF file, all its parts included.

    Raises:
        ValueError: a part is missing; one sentence.
    """
    hashes = [remembered_hash(part) for part in gguf_parts(gguf)]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256(''.join(hashes).encode()).hexdigest()


def converted_folder(
    gguf: Path,
    gguf_hash: str,
    dtype: torch.dtype,
    needs_template: bool = True,
    packs: bool = False,
) -> Path:
    """Return a folder with a GGUF file's configuration, weights and tokenizer.

    Arguments:
        gguf: the file, or one of its parts.
        gguf_hash: what gguf_hash() returns for it.
        dtype: of the weights that are not packed.
        needs_template: refuse a file without a chat template.
        packs: keep the weights as they are stored, if the compiled step serves the model.

    Raises:
        ValueError: the file is not one that can be served, or no disk has room; a clause.
        Exception: whatever transformers raises for what it cannot read.
    """
    form = f'{str(dtype).removeprefix("torch.")}{"-packed" if packs else ""}'
    size_gb = sum(part.stat().st_size for part in gguf_parts(gguf)) / 1e9
    return kept_folder(
        f'{gguf.stem}-{gguf_hash[:16]}-{form}',
        lambda: GGUFConversion(GGUFFile(gguf_parts(gguf)), dtype, needs_template, packs),
        f'converting {gguf}, once for this file: this takes about '
        f'{_FIXED_S + _S_PER_GB * size_gb:.0f} s',
    )
