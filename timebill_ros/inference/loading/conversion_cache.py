"""Models made ready once: what a conversion writes is kept in the cache folder."""

import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from timebill_ros.core.atomic_file import write_json
from timebill_ros.inference.loading.cache_folder import cache_folder, temporary_folder

_LAYOUT = 'v4'
"""Part of the key: to be changed with what the folders hold."""
_MANIFEST = 'files.json'
_UNFINISHED = '.converting-'
_LOCK = '.lock'
_HEADER_BYTES = 1 << 20


class Conversion(Protocol):
    """Writes a model's files."""

    @property
    def nbytes(self) -> int:
        """About how much will be written [bytes]."""

    def write(self, folder: Path) -> None:
        """Write all files into a folder.

        Raises:
            OSError: the disk is full, say.
            ValueError: the source is damaged; a clause.
        """


def kept_folder(name: str, begin: Callable[[], Conversion], announcement: str) -> Path:
    """Return the folder of a conversion's files, made now if it is not there.

    Arguments:
        name: tells it from all others; the layout's version is added.
        begin: returns the conversion.
        announcement: is logged before it is written.

    Raises:
        ValueError: no disk has room; a clause.
        Exception: whatever the conversion raises.
    """
    name, models = f'{name}-{_LAYOUT}', cache_folder() / 'models'
    for folder in (models, temporary_folder() / 'models'):
        _remove_leftovers(folder)
        if _is_whole(folder / name):
            return folder / name
    conversion = begin()
    models = _with_room(models, conversion.nbytes)
    with _locked(models):
        # Another process may have been first.
        if not _is_whole(models / name):
            logging.info(announcement)
            _convert(conversion, models / name)
    return models / name


def _convert(conversion: Conversion, folder: Path) -> None:
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
