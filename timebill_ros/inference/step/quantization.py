"""Quantized weights: codes of 4, 5, 6 or 8 bits and their scales, as GGUF has them.

Weights that were in one of GGUF's formats before do not change.
"""

from dataclasses import dataclass

import torch

GROUP = 32
"""Columns that share a scale."""
SUPER = 256
"""Columns that share a super-scale."""

BITS = {'int8': 8, 'int4': 4, 'int5': 5, 'super4': 4, 'super5': 5, 'super6': 6}
"""The kinds of quantized weights, and the size of their codes. src/weight_kinds.h has them too."""
SUPER_KINDS = ('super4', 'super5', 'super6')
"""Those with super-scales."""


@dataclass(frozen=True)
class QuantizedWeight:
    """weight = scales * codes + minimums, a group of columns at a time.

    Arguments:
        kind: one of BITS.
        codes: (rows, columns): uint8, or int8 of 'int8' and 'super6'.
        scales: (rows, groups), float16. Where there are super-scales, bytes that multiply them.
            A group has 32 columns, 16 of 'super6'.
        minimums: of the same shape; None of 'int8' and 'super6'.
        super_scales, super_minimums: (rows, columns / 256), float16, where there are some.
    """

    kind: str
    codes: torch.Tensor
    scales: torch.Tensor
    minimums: torch.Tensor | None = None
    super_scales: torch.Tensor | None = None
    super_minimums: torch.Tensor | None = None

    @property
    def bits(self) -> int:
        """The size of a code."""
        return BITS[self.kind]

    def dequantized(self) -> torch.Tensor:
        """Return (rows, columns) in fp32."""
        rows, groups = self.scales.shape
        values = self.codes.view(rows, groups, -1).float()
        values *= _multiplied(self.scales, self.super_scales)[..., None]
        if self.minimums is not None:
            values += _multiplied(self.minimums, self.super_minimums)[..., None]
        return values.view(self.codes.shape)

    def relative_error(self, weight: torch.Tensor) -> float:
        """Return the Frobenius norm of the difference over that of the weight."""
        weight = weight.float()
        return float((self.dequantized() - weight).norm() / weight.norm().clamp_min(1e-30))

    def rows(self, order: torch.Tensor) -> 'QuantizedWeight':
        """Return some of its rows.

        Arguments:
            order: (count,), which rows.
        """
        parts = (self.scales, self.minimums, self.super_scales, self.super_minimums)
        taken = (None if part is None else part[order] for part in parts)
        return QuantizedWeight(self.kind, self.codes[order], *taken)  # type: ignore[arg-type]


def quantize(weight: torch.Tensor, bits: int) -> QuantizedWeight:
    """Round a weight of shape (rows, columns), the columns a multiple of 32, to 4 or 8 bits."""
    rows, columns = weight.shape
    groups = weight.float().view(rows, columns // GROUP, GROUP)
    if bits == 8:
        scales = _half(groups.abs().amax(-1) / 127)
        codes = _codes(groups, scales, None, -127, 127).view(weight.shape)
        return QuantizedWeight('int8', codes, scales)
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
        'int4',
        torch.where(better[..., None], second[0], first[0]).view(weight.shape),
        torch.where(better, second[1], first[1]),
        torch.where(better, second[2], first[2]),
    )


def _multiplied(values: torch.Tensor, supers: torch.Tensor | None) -> torch.Tensor:
    if supers is None:
        return values.float()
    return values.float() * supers.float().repeat_interleave(
        values.shape[1] // supers.shape[1], dim=1
    )


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
