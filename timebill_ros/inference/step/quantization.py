"""Weights in 4 or 8 bits, and how decoder_step.cpp wants to read them.

The formats are GGUF's: a group of 32 columns shares a float16 scale and, in 4 bits, a minimum.
Weights that were in one of these formats before do not change.
"""

from dataclasses import dataclass

import torch

GROUP = 32
"""Columns that share a scale."""
BLOCK = 32
"""Rows that are multiplied together; the last block is padded."""
LOSSLESS = 1e-3
"""A relative error below this is the rounding of what was quantized in this format before."""


@dataclass(frozen=True)
class QuantizedWeight:
    """weight = scales * codes + minimums, a group of 32 columns at a time.

    Arguments:
        codes: (rows, columns), uint8 in 0..15, or int8.
        scales: (rows, columns / 32), float16.
        minimums: of the same shape in 4 bits; None in 8.
    """

    codes: torch.Tensor
    scales: torch.Tensor
    minimums: torch.Tensor | None

    @property
    def bits(self) -> int:
        """The size of a code."""
        return 8 if self.minimums is None else 4

    def dequantized(self) -> torch.Tensor:
        """Return (rows, columns) in fp32."""
        groups = _grouped(self.codes).float() * self.scales[..., None].float()
        if self.minimums is not None:
            groups += self.minimums[..., None].float()
        return groups.view(self.codes.shape)

    def relative_error(self, weight: torch.Tensor) -> float:
        """Return the Frobenius norm of the difference over that of the weight."""
        weight = weight.float()
        return float((self.dequantized() - weight).norm() / weight.norm().clamp_min(1e-30))


def quantize(weight: torch.Tensor, bits: int) -> QuantizedWeight:
    """Round a weight of shape (rows, columns), the columns a multiple of 32, to 4 or 8 bits."""
    groups = _grouped(weight.float())
    if bits == 8:
        scales = _half(groups.abs().amax(-1) / 127)
        codes = _codes(groups, scales, None, -127, 127).view(weight.shape)
        return QuantizedWeight(codes, scales, None)
    # Q4_1 puts the smallest value at code 0 and the largest at 15; Q4_0 the one farthest from 0
    # at code 0, and 0 at code 8. Each group takes what fits it better.
    smallest = groups.amin(-1)
    farthest = groups.gather(-1, groups.abs().argmax(-1, keepdim=True))[..., 0]
    candidates = []
    for minimums, scales in (
        (smallest, (groups.amax(-1) - smallest) / 15),
        (farthest, -farthest / 8),
    ):
        minimums, scales = _half(minimums), _half(scales)
        codes = _codes(groups, scales, minimums, 0, 15)
        rounded = codes.float() * scales[..., None].float() + minimums[..., None].float()
        candidates.append((codes, scales, minimums, (rounded - groups).square().sum(-1)))
    first, second = candidates
    better = second[3] < first[3]
    return QuantizedWeight(
        torch.where(better[..., None], second[0], first[0]).view(weight.shape),
        torch.where(better, second[1], first[1]),
        torch.where(better, second[2], first[2]),
    )


@dataclass(frozen=True)
class PackedWeight:
    """A quantized weight as decoder_step.cpp reads it.

    Arguments:
        bits: 4 or 8.
        data: uint8, (blocks of 32 rows, groups of 32 columns, bytes of one).
    """

    bits: int
    data: torch.Tensor


def packed(weight: QuantizedWeight) -> PackedWeight:
    """Return a weight in the order in which a step streams it."""
    codes, scales = _blocked(weight.codes), _blocked(weight.scales)
    blocks, _, columns = codes.shape
    groups = columns // GROUP
    if weight.minimums is not None:
        # A 32-bit word holds 8 columns: even ones in its low half, odd ones in its high half.
        nibbles = codes.to(torch.int32).view(blocks, BLOCK, groups, 4, 4, 2)
        even, odd = nibbles.unbind(-1)
        shifts = torch.arange(0, 16, 4, dtype=torch.int32)
        halves = torch.stack([(half << shifts).sum(-1) for half in (even, odd)], -1)
        words = halves.to(torch.int16).view(blocks, BLOCK, groups, 4, 2)
        parts = [words.permute(0, 2, 3, 1, 4), scales, _blocked(weight.minimums)]
    else:
        # A word holds 4 columns, so that its even and its odd bytes are two pairs.
        words = codes.view(blocks, BLOCK, groups, 8, 4)[..., [0, 2, 1, 3]]
        parts = [words.permute(0, 2, 3, 1, 4), scales]
    # Scales: (blocks, rows, groups) to a row of 32 for each group.
    parts[1:] = [part.transpose(1, 2) for part in parts[1:]]
    data = [part.contiguous().view(torch.uint8).view(blocks, groups, -1) for part in parts]
    return PackedWeight(weight.bits, torch.cat(data, dim=-1).contiguous())


def _grouped(matrix: torch.Tensor) -> torch.Tensor:
    rows, columns = matrix.shape
    return matrix.view(rows, columns // GROUP, GROUP)


def _half(values: torch.Tensor) -> torch.Tensor:
    return values.clamp(-65504, 65504).to(torch.float16)


def _codes(
    groups: torch.Tensor,
    scales: torch.Tensor,
    minimums: torch.Tensor | None,
    low: int,
    high: int,
) -> torch.Tensor:
    shifted = groups if minimums is None else groups - minimums[..., None].float()
    factor = scales[..., None].float()
    quotient = torch.where(factor == 0, 0.0, shifted / torch.where(factor == 0, 1.0, factor))
    codes = quotient.round().clamp(low, high)
    return codes.to(torch.int8 if minimums is None else torch.uint8)


def _blocked(matrix: torch.Tensor) -> torch.Tensor:
    """Return (blocks, 32, columns), padded with zeros."""
    rows, columns = matrix.shape
    padding = matrix.new_zeros(-rows % BLOCK, columns)
    return torch.cat([matrix, padding]).view(-1, BLOCK, columns)
