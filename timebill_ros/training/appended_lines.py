"""A file of JSON, a line each, that only grows: cut off or not, it is gone on with."""

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any


class AppendedLines:
    """Adds whole lines to a file that nobody else adds to meanwhile. A context manager.

    Arguments:
        path: made if absent, its folder too. A last line that was cut off is dropped.

    Raises:
        ValueError: another process is adding to it; one sentence.
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, content: Mapping[str, Any]) -> None:
        """Append a line; it is on the disk when this returns."""
        self._file.write(json.dumps(content).encode() + b'\n')
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let others add to the file."""
        self._file.close()


def whole_lines(path: Path) -> bytes:
    """Return what a file holds, a last line that was cut off left out; nothing if it is absent."""
    content = path.read_bytes() if path.exists() else b''
    return content[: content.rfind(b'\n') + 1]
