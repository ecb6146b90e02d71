"""gguf's reader, less wasteful with vocabularies, and shared with transformers."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

import gguf
import numpy as np
from gguf import GGUFReader, GGUFValueType, get_tensor_name_map


class _Text(bytes):
    """What stands for an array of bytes in a field."""

    def tobytes(self) -> bytes:
        """Return itself."""
        return self


class CompactReader(GGUFReader):
    """Reads the strings of an array as bytes.

    The base class makes two memory maps of each: of a vocabulary of 49,152 tokens that is 160 MB,
    and two seconds.
    """

    def _get_field_parts(
        self, orig_offs: int, raw_type: int
    ) -> Any:  # as the base class: size, parts, which parts are elements, types
        if raw_type != GGUFValueType.ARRAY:
            return super()._get_field_parts(orig_offs, raw_type)
        kind = GGUFValueType(int(self._get(orig_offs, np.uint32)[0]))
        count = int(self._get(orig_offs + 4, np.uint64)[0])
        offset = orig_offs + 12
        raw = self.data.view(np.ndarray)
        parts: list[Any] = []
        if kind == GGUFValueType.STRING:
            order: Literal['little', 'big'] = 'big' if self.byte_order == 'S' else 'little'
            for _ in range(count):
                length = int.from_bytes(raw[offset : offset + 8].tobytes(), order)
                if length > len(raw) - offset - 8:
                    raise ValueError('a string is longer than the file')
                parts.append(_Text(raw[offset + 8 : offset + 8 + length].tobytes()))
                offset += 8 + length
        elif kind in self.gguf_scalar_to_np:
            values = self._get(offset, self.gguf_scalar_to_np[kind], count).view(np.ndarray)
            offset += values.nbytes
            parts = list(values.reshape(-1, 1))
        else:
            return super()._get_field_parts(orig_offs, raw_type)
        types = [GGUFValueType.ARRAY, kind] if count else [GGUFValueType.ARRAY]
        return offset - orig_offs, parts, list(range(count)), types

    def release(self) -> None:
        """Let go of the file's pages that have been read; they are read again if need be."""
        mapped = self.data._mmap
        assert isinstance(mapped, mmap.mmap)
        mapped.madvise(mmap.MADV_DONTNEED)


@contextmanager
def shared_with_transformers(reader: CompactReader, path: Path) -> Iterator[None]:
    """Let transformers use a reader for a file, which it would otherwise parse three times.

    It would also make gguf's table of names anew for each module of a model, in some seconds.
    """

    def opened(other: Any, *arguments: Any) -> GGUFReader:
        return reader if Path(other) == path else GGUFReader(other, *arguments)

    gguf.GGUFReader, gguf.get_tensor_name_map = opened, cache(get_tensor_name_map)
    try:
        yield
    finally:
        gguf.GGUFReader, gguf.get_tensor_name_map = GGUFReader, get_tensor_name_map
