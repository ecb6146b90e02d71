"""Weights as the compiled library reads them; src/weight_kinds.h says how they lie in memory."""

import ctypes
from dataclasses import dataclass

import torch

from timebill_ros.inference.step import decoder_library
from timebill_ros.inference.step.decoder_library import KINDS, Matrix
from timebill_ros.inference.step.quantization import (
    BITS,
    GROUP,
    SUPER,
    SUPER_KINDS,
    QuantizedWeight,
)

BLOCK = 32
"""Rows that are multiplied together; the last block is padded."""


@dataclass(frozen=True)
class PackedWeight:
    """A weight of shape (rows, columns).

    Arguments:
        kind: one of decoder_library.KINDS.
        data: uint8, (blocks of 32 rows, bytes of one). Of a plain kind: (rows, columns) in its
            own dtype.
    """

    kind: str
    rows: int
    columns: int
    data: torch.Tensor

    @property
    def bits(self) -> int:
        """The size of a code, or of a plain number."""
        return BITS.get(self.kind) or 8 * self.data.itemsize

    def matrix(self, bias: int | None = None) -> Matrix:
        """Return what the library reads; valid as long as the data lives.

        Arguments:
            bias: address of (rows,) floats.
        """
        return Matrix(
            kind=KINDS[self.kind],
            rows=self.rows,
            columns=self.columns,
            weights=self.data.data_ptr(),
            bias=bias,
        )

    def lookup(self, rows: torch.Tensor) -> torch.Tensor:
        """Return some of its rows in fp32, (count, columns).

        Arguments:
            rows: (count,), int64, each in [0, rows).
        """
        if self.kind not in BITS:
            return self.data[rows].float()
        rows = rows.contiguous()
        found = torch.empty(len(rows), self.columns)
        library = decoder_library.library()
        assert library is not None, 'weights are packed for the library only'
        library.timebill_decoder_lookup(
            ctypes.byref(self.matrix()), rows.data_ptr(), len(rows), found.data_ptr()
        )
        return found

    def dequantized(self) -> torch.Tensor:
        """Return (rows, columns) in fp32."""
        return self.lookup(torch.arange(self.rows))


def packed(weight: QuantizedWeight) -> PackedWeight:
    """Return a weight in the order in which a step streams it."""
    rows, columns = weight.codes.shape
    if weight.kind == 'int8':
        codes = _blocked(weight.codes)
        # A word holds 4 columns, so that its even and its odd bytes are two pairs.
        words = codes.view(len(codes), BLOCK, columns // GROUP, 8, 4)[..., [0, 2, 1, 3]]
    else:
        offset = 32 if weight.kind == 'super6' else 0
        words = _words((_blocked(weight.codes.to(torch.int16) + offset)), weight.bits - 4)
    # (blocks, rows, groups, words, 4 bytes), and the scales, to a stream of groups.
    parts = [_bytes(words.permute(0, 2, 3, 1, 4), 2)]
    for scales in (weight.scales, weight.minimums):
        if scales is not None:
            halves = _blocked(scales).view(len(words), BLOCK, columns // GROUP, -1)
            parts.append(_bytes(halves.permute(0, 2, 3, 1), 2))
    data = torch.cat(parts, dim=-1)
    if weight.kind in SUPER_KINDS:
        supers = [
            _bytes(_blocked(scales).transpose(1, 2), 2)
            for scales in (weight.super_scales, weight.super_minimums)
            if scales is not None
        ]
        data = torch.cat([*supers, _bytes(data.view(len(data), columns // SUPER, -1), 2)], dim=-1)
    return PackedWeight(weight.kind, rows, columns, _bytes(data, 1))


def _words(codes: torch.Tensor, more_bits: int) -> torch.Tensor:
    """Return the words of codes of 4 bits and so many more.

    Arguments:
        codes: (blocks, 32, columns).

    Returns:
        (blocks, 32, groups, words, 4 bytes).
    """
    # A word's low half is of even columns, its high half of odd ones.
    pairs = codes.to(torch.int32).view(len(codes), BLOCK, -1, 16, 2)
    words = [_joined(pairs & 15, 4)]
    if more_bits:
        words.append(_joined(pairs >> 4, more_bits))
    halves = torch.cat(words, dim=3).to(torch.int16)
    return halves.view(torch.uint8)


def _joined(pairs: torch.Tensor, bits: int) -> torch.Tensor:
    """Return 16 pairs of small numbers as `bits` pairs of 16-bit numbers."""
    shifts = torch.arange(0, 16, bits, dtype=torch.int32)[:, None]
    parts: torch.Tensor = pairs.unflatten(3, (bits, 16 // bits))
    return (parts << shifts).sum(4)


def _blocked(matrix: torch.Tensor) -> torch.Tensor:
    """Return (blocks, 32, columns), padded with zeros."""
    rows, columns = matrix.shape
    padding = matrix.new_zeros(-rows % BLOCK, columns)
    return torch.cat([matrix, padding]).view(-1, BLOCK, columns)


def _bytes(values: torch.Tensor, kept: int) -> torch.Tensor:
    """Return the bytes of a tensor, all dimensions but the first ones joined."""
    return values.contiguous().view(torch.uint8).flatten(kept)
