"""A safetensors file that is written tensor by tensor: the whole is never in memory."""

import json
import os
from pathlib import Path
from typing import Any

import torch

_ENTRY_BYTES = 256
_DTYPES = {
    torch.float32: 'F32',
    torch.bfloat16: 'BF16',
    torch.float16: 'F16',
    torch.uint8: 'U8',
}


class StreamedSafetensors:
    """Writes a file; use as a context manager, at whose end the header is written.

    Arguments:
        path: of the new file.
        most: so many tensors are written at most, with names of some 200 bytes at most.
    """

    def __init__(self, path: Path, most: int) -> None:
        self._path = path
        # The format lets a header end in spaces: there is room for it in front. With the 8 bytes
        # of its length it takes whole cache lines, so that tensors of whole ones lie on them.
        self._header_bytes = _ENTRY_BYTES * (most + 1) - 8
        self._entries: dict[str, Any] = {'__metadata__': {'format': 'pt'}}
        self._end = 0

    def __enter__(self) -> 'StreamedSafetensors':
        self._file = self._path.open('wb')
        self._file.seek(8 + self._header_bytes)
        return self

    def begin(self, name: str, dtype: torch.dtype, shape: list[int]) -> None:
        """Begin a tensor; its rows follow."""
        size = dtype.itemsize
        for length in shape:
            size *= length
        self._entries[name] = {
            'dtype': _DTYPES[dtype],
            'shape': shape,
            'data_offsets': [self._end, self._end + size],
        }
        self._end += size

    def rows(self, values: torch.Tensor) -> None:
        """Append rows of the tensor that was begun."""
        self._file.write(values.contiguous().flatten().view(torch.uint8).numpy().data)

    def add(self, name: str, values: torch.Tensor) -> None:
        """Append a whole tensor."""
        self.begin(name, values.dtype, list(values.shape))
        self.rows(values)

    def __exit__(self, kind: object, *_: object) -> None:
        with self._file as file:
            if kind is not None:
                return
            header = json.dumps(self._entries).encode()
            assert len(header) <= self._header_bytes, 'more tensors than there was room for'
            assert file.tell() == 8 + self._header_bytes + self._end, 'rows are missing'
            file.seek(0)
            file.write(self._header_bytes.to_bytes(8, 'little'))
            file.write(header.ljust(self._header_bytes))
            file.flush()
            os.fsync(file.fileno())
