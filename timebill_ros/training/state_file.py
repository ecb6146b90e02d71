"""The hidden states of the collected prompts on disk: one row for each length record."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def state_layers(depth: int) -> list[int]:
    """Return the layers whose states are kept: one at every eighth of the model's depth."""
    return sorted({max(1, round(depth * part / 8)) for part in range(1, 8)})


def state_shape(model: Any) -> tuple[int, int, int]:
    """Return the shape of a prompt's states in a transformers model: (layers, 2, hidden)."""
    config = model.config.get_text_config()
    return len(state_layers(config.num_hidden_layers)), 2, int(config.hidden_size)


class StateFile:
    """A file to which rows are added, one for each length record. A context manager.

    Arguments:
        path: made if absent; rows beyond `rows` are removed.
        shape: shape of a row; rows are stored in fp16.
        rows: number of length records so far.

    Raises:
        ValueError: there are fewer rows than lengths; one sentence.
    """

    def __init__(self, path: Path, shape: Sequence[int], rows: int) -> None:
        row_bytes = 2 * int(np.prod(shape))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open('ab')
        found = self._file.tell() // row_bytes
        if found < rows:
            raise ValueError(
                f'{path} has {found} rows for {rows} lengths: remove both files, or name another '
                'folder'
            )
        self._file.truncate(rows * row_bytes)

    def __enter__(self) -> 'StateFile':
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, states: NDArray[np.floating]) -> None:
        """Append a row; the lengths' record is to follow."""
        self._file.write(states.astype(np.float16).tobytes())
        self._file.flush()


def read_states(path: Path, shape: Sequence[int], rows: int) -> NDArray[np.float32]:
    """Return (rows, *shape), fp32.

    Raises:
        ValueError: there are fewer rows than lengths; one sentence.
    """
    values = np.fromfile(path, np.float16) if path.exists() else np.zeros(0, np.float16)
    wanted = rows * int(np.prod(shape))
    if len(values) < wanted:
        raise ValueError(f'{path} has no states for {rows} lengths: collect them again')
    return values[:wanted].reshape(rows, *shape).astype(np.float32)
