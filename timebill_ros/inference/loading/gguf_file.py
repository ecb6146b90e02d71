"""A GGUF file, in one part or several."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gguf import GGMLQuantizationType as Kind
from gguf import ReaderTensor, dequantize

from timebill_ros.inference.loading import gguf_codes
from timebill_ros.inference.loading.gguf_reader import CompactReader, shared_with_transformers
from timebill_ros.inference.step.packed_weight import PackedWeight, packed

Matrix = npt.NDArray[np.float32]
_PART = re.compile(r'(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf')


def gguf_parts(path: Path) -> list[Path]:
    """Return all parts of the file that a path names, the first one first.

    Raises:
        ValueError: a part is missing; one sentence that names it.
    """
    match = _PART.fullmatch(path.name)
    if match is None:
        return [path]
    count = int(match['count'])
    parts = [
        path.with_name(f'{match["stem"]}-{number:05}-of-{count:05}.gguf')
        for number in range(1, count + 1)
    ]
    if missing := [part for part in parts if not part.is_file()]:
        raise ValueError(
            f'model {str(path)!r} is one of {count} parts, and {len(missing)} of them are not '
            f'there: put {missing[0].name} beside it'
        )
    return parts


class GGUFFile:
    """Metadata and tensors, read when they are asked for.

    Arguments:
        parts: its files, the one with the metadata first.

    Raises:
        ValueError: one of them is no GGUF file, or parts are missing; a clause.
    """

    def __init__(self, parts: list[Path]) -> None:
        try:
            self._readers = [CompactReader(part) for part in parts]
        except (ValueError, KeyError, IndexError, OverflowError) as error:
            raise ValueError(f'it is no GGUF file, or damaged ({error})') from error
        self.parts = parts
        self.tensors: dict[str, ReaderTensor] = {
            tensor.name: tensor for reader in self._readers for tensor in reader.tensors
        }
        expected = self.value('split.tensors.count') or len(self.tensors)
        if expected != len(self.tensors):
            raise ValueError(
                f'it has {len(self.tensors)} of {expected} tensors: it is a part of a split file; '
                'keep the parts beside each other, named ...-00001-of-0000N.gguf'
            )

    @property
    def architecture(self) -> str:
        """As llama.cpp calls it."""
        return str(self.value('general.architecture') or '')

    def value(self, key: str) -> Any:
        """Return a value of the metadata; None where it is not there."""
        field = self._readers[0].fields.get(key)
        return None if field is None else field.contents()

    def own(self, key: str) -> Any:
        """Return a value of the metadata that is kept under the architecture's name."""
        return self.value(f'{self.architecture}.{key}')

    def shared_with_transformers(self) -> AbstractContextManager[None]:
        """Let transformers read the metadata without parsing it anew."""
        return shared_with_transformers(self._readers[0], self.parts[0])

    def release(self) -> None:
        """Let go of the memory of what has been read."""
        for reader in self._readers:
            reader.release()

    def values(self, name: str) -> Matrix:
        """Return a tensor in fp32, of the shape that PyTorch gives it."""
        tensor = self.tensors[name]
        return np.asarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)

    def rows(self, name: str, rows: int) -> Iterator[Matrix]:
        """Yield a matrix in fp32, so many rows at a time."""
        tensor = self.tensors[name]
        for start in range(0, len(tensor.data), rows):
            part = tensor.data[start : start + rows]
            yield np.asarray(dequantize(part, tensor.tensor_type), dtype=np.float32)

    def shape(self, name: str) -> list[int]:
        """Return the shape that PyTorch gives a tensor."""
        return [int(length) for length in self.tensors[name].shape[::-1]]

    def packed(self, name: str, order: npt.NDArray[np.int_], dtype: torch.dtype) -> PackedWeight:
        """Return some rows of a matrix as they are stored.

        Arguments:
            order: which.
            dtype: of what is stored in a format that no kind of packed weight holds.
        """
        tensor = self.tensors[name]
        data = tensor.data[order]
        if (weight := gguf_codes.quantized(data, tensor.tensor_type)) is not None:
            return packed(weight)
        if tensor.tensor_type == Kind.F16:
            values = torch.from_numpy(data)
        elif tensor.tensor_type == Kind.BF16:
            values = torch.from_numpy(data).view(torch.bfloat16)
        else:
            values = torch.from_numpy(np.array(dequantize(data, tensor.tensor_type))).to(dtype)
        rows, columns = values.shape
        return PackedWeight(str(values.dtype).removeprefix('torch.'), rows, columns, values)
