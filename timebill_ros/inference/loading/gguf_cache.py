"""A GGUF file, converted once to a safetensors folder that loads in a second.

The outcome is kept, keyed by the file's content and the dtype.
"""

import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from timebill_ros.core.atomic_file import write_json
from timebill_ros.inference.loading.cache_folder import cache_folder, temporary_folder
from timebill_ros.inference.loading.gguf_conversion import GGUFConversion
from timebill_ros.inference.loading.gguf_file import GGUFFile, gguf_parts

_LAYOUT = 'v3'
"""Part of the key: to be changed with what the folder holds."""
_MANIFEST = 'files.json'
_UNFINISHED = '.converting-'
_LOCK = '.lock'
_HEADER_BYTES = 1 << 20
_FIXED_S, _S_PER_GB = 5.0, 20.0
"""How long a conversion takes, by files of 98 and 491 MB (docs/models.md)."""


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def gguf_hash(gguf: Path) -> str:
    """Return a hash of a GGUF file, all its parts included.

    Raises:
        ValueError: a part is missing; one sentence.
    """
    hashes = [file_hash(part) for part in gguf_parts(gguf)]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256(''.join(hashes).encode()).hexdigest()


def converted_folder(
    gguf: Path, gguf_hash: str, dtype: torch.dtype, needs_template: bool = True
) -> Path:
    """Return a folder with a GGUF file's weights, plain and as stored, and its tokenizer.

    Arguments:
        gguf: the file, or one of its parts.
        gguf_hash: what gguf_hash() returns for it.
        dtype: of the plain weights.
        needs_template: refuse a file without a chat template.

    Raises:
        ValueError: the file is not one that can be served, or no disk has room; a clause.
        Exception: whatever transformers raises for what it cannot read.
    """
    name = f'{gguf.stem}-{gguf_hash[:16]}-{str(dtype).removeprefix("torch.")}-{_LAYOUT}'
    models = cache_folder() / 'models'
    _remove_leftovers(models)
    if _is_whole(models / name):
        return models / name
    conversion = GGUFConversion(GGUFFile(gguf_parts(gguf)), dtype, needs_template)
    models = _with_room(models, conversion.nbytes)
    with _locked(models):
        # Another process may have been first.
        if not _is_whole(models / name):
            _log_beginning(gguf)
            _convert(conversion, models / name)
    return models / name


def _log_beginning(gguf: Path) -> None:
    size_gb = sum(part.stat().st_size for part in gguf_parts(gguf)) / 1e9
    logging.info(
        'converting %s, once for this file: this takes about %.0f s',
        gguf,
        _FIXED_S + _S_PER_GB * size_gb,
    )


def _convert(conversion: GGUFConversion, folder: Path) -> None:
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder.parent))
    try:
        conversion.write(unfinished)
        for path in unfinished.iterdir():
            _sync(path)
        write_json(unfinished / _MANIFEST, _described(unfinished))
        _sync(unfinished)
        unfinished.rename(folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def _locked(models: Path) -> Iterator[None]:
    """Wait until no other process converts."""
    models.mkdir(parents=True, exist_ok=True)
    with (models / _LOCK).open('w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_leftovers(models: Path) -> None:
    """Remove what conversions have left that were interrupted."""
    if not any(models.glob(f'{_UNFINISHED}*')):
        return
    with (models / _LOCK).open('w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # a conversion is running
            return
        for path in models.glob(f'{_UNFINISHED}*'):
            logging.info('removing %s, a conversion that was interrupted', path)
            shutil.rmtree(path, ignore_errors=True)


def _with_room(models: Path, nbytes: int) -> Path:
    """Return a folder on a disk with room for so many bytes."""
    for folder in (models, temporary_folder() / 'models'):
        folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(folder).free > nbytes:
            return folder
        logging.warning('the disk of %s is full: the converted model finds no room there', folder)
    raise ValueError(
        f'its conversion takes {nbytes / 1e6:.0f} MB, which neither {models} nor a temporary '
        'folder has: free some room, or set XDG_CACHE_HOME'
    )


def _is_whole(folder: Path) -> bool:
    """Whether a converted model is there and undamaged; a damaged one is removed."""
    if not folder.is_dir():
        return False
    try:
        known = json.loads((folder / _MANIFEST).read_text(encoding='utf-8'))
        if known == _described(folder):
            return True
    except (OSError, ValueError):
        pass
    logging.warning('the converted model in %s is damaged: it is converted again', folder)
    shutil.rmtree(folder)
    return False


def _described(folder: Path) -> dict[str, Any]:
    """Return each file's size and a hash of its beginning: to read all would take seconds."""
    described = {}
    for path in sorted(folder.iterdir()):
        if path.name != _MANIFEST:
            with path.open('rb') as file:
                digest = hashlib.sha256(file.read(_HEADER_BYTES)).hexdigest()
            described[path.name] = {'bytes': path.stat().st_size, 'header': digest}
    return described


def _sync(path: Path) -> None:
    """Bring a file or folder to the disk itself: after a power cut it is whole or not there."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
