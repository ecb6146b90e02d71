"""The SHA-256 of a file, read whole only once."""

import hashlib
import json
import logging
from pathlib import Path

from timebill_ros.core.atomic_file import write_json
from timebill_ros.inference.loading.cache_folder import cache_folder

_END_BYTES = 1 << 20


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def remembered_hash(path: Path) -> str:
    """Return the same; a file of known size, time and ends is not read whole again."""
    known = cache_folder() / 'hashes' / f'{file_identity(path)}.json'
    try:
        return str(json.loads(known.read_text(encoding='utf-8'))['sha256'])
    except (OSError, ValueError, LookupError, TypeError):
        found = file_hash(path)
    try:
        write_json(known, {'sha256': found})
    except OSError as error:
        logging.warning('the hash of %s is not kept, and the file is read again: %s', path, error)
    return found


def file_identity(path: Path) -> str:
    """Return a hash of a file's size, time of change, beginning and end."""
    status = path.stat()
    digest = hashlib.sha256(f'{status.st_size} {status.st_mtime_ns} '.encode())
    with path.open('rb') as file:
        digest.update(file.read(_END_BYTES))
        file.seek(max(0, status.st_size - _END_BYTES))
        digest.update(file.read())
    return digest.hexdigest()[:32]
