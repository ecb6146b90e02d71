"""A file of JSON lines that holds for one key, which is its first line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from timebill_ros.training.appended_lines import AppendedLines


class KeyedLines(AppendedLines):
    """Adds lines behind a key. `rows` are those that were found. A context manager.

    Arguments:
        path: made if absent. A last line that was cut off is dropped.
        key: everything that the lines depend on.

    Raises:
        ValueError: the file is another key's, or being added to; one sentence.
    """

    def __init__(self, path: Path, key: Mapping[str, Any]) -> None:
        super().__init__(path)
        lines = [json.loads(line) for line in self.found.splitlines()]
        if not lines:
            self.add(key)
            lines = [dict(key)]
        header, *self.rows = lines
        if header != dict(key):
            self.close()
            other = sorted(name for name in key if header.get(name) != key[name])
            raise ValueError(f'{path} was recorded with another {", ".join(other)}: remove it')
