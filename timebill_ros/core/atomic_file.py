"""Files that a reader sees old or new, never in part."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, by way of another file of the same folder.

    Arguments:
        path: its folder is made if absent.
        content: what json.dump takes.

    Raises:
        OSError: the folder cannot be made or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        'w', dir=path.parent, prefix=f'{path.name}.', encoding='utf-8', delete=False
    ) as file:
        temporary = Path(file.name)
        try:
            json.dump(content, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
