"""A file of JSON lines that only grows. It can be continued even if it was cut off."""

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class AppendedLines:
    """Adds whole lines to a file; only one process may add at a time. A context manager.

    Arguments:
        path: the file; it and its folder are made if absent. An incomplete last line is removed.

    Raises:
        ValueError: another process is adding to the file; one sentence.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open('ab')
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise ValueError(f'{path} is being added to by another process') from None
        self.found = whole_lines(path)
        self._file.truncate(len(self.found))

    def __enter__(self) -> 'AppendedLines':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, content: Mapping[str, Any]) -> None:
        """Append a line; it is on the disk when this returns."""
        self._file.write(json.dumps(content).encode() + b'\n')
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file, so that another process can add to it."""
        self._file.close()


def whole_lines(path: Path) -> bytes:
    """Return the file's content without an incomplete last line; empty if there is no file."""
    content = path.read_bytes() if path.exists() else b''
    return content[: content.rfind(b'\n') + 1]
