"""Where converted models, fitted time models and verdicts are kept."""

import logging
import os
import stat
import tempfile
from functools import cache
from pathlib import Path

import platformdirs

_NAME = 'timebill_ros'


def cache_folder() -> Path:
    """Return the folder: the user's cache, or a temporary one where that cannot be written.

    Raises:
        ValueError: no folder can be written; one sentence.
    """
    try:
        wanted = str(platformdirs.user_cache_path(_NAME, appauthor=False))
    except RuntimeError:  # no HOME, and no entry of this user; older releases return '~' with it
        wanted = f'~/.cache/{_NAME}'
    return _writable(wanted)


def temporary_folder() -> Path:
    """Return the temporary folder that stands in for the cache; it stays until a reboot.

    Raises:
        ValueError: it cannot be written; one sentence.
    """
    try:
        # A name that others can guess, so that the next start finds it: it must be ours alone.
        folder = Path(tempfile.gettempdir()) / f'{_NAME}-{os.getuid()}'
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            folder = Path(tempfile.mkdtemp(prefix=f'{_NAME}-'))
        _try_to_write(folder)
    except OSError as error:
        raise ValueError(
            f'neither the cache folder nor a temporary one can be written ({error}): set '
            'XDG_CACHE_HOME to a folder that can be'
        ) from error
    return folder


@cache
def _writable(wanted: str) -> Path:
    folder = Path(wanted)
    try:
        if not folder.is_absolute():
            raise OSError('this user has no home folder')
        folder.mkdir(parents=True, exist_ok=True)
        _try_to_write(folder)
    except OSError as error:
        instead = temporary_folder()
        logging.warning(
            'the cache folder %s cannot be written (%s): %s is used instead; set XDG_CACHE_HOME '
            'to a folder that lasts',
            folder,
            error.strerror or error,
            instead,
        )
        return instead
    return folder


def _try_to_write(folder: Path) -> None:
    """Write and remove a small file: permissions alone do not tell, nor does an empty file."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix='.writable-') as file:
        file.write(bytes(4096))
        file.flush()
        os.fsync(file.fileno())
