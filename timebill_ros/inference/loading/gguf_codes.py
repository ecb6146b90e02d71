"""The codes and scales of a GGUF file's tensors, without any rounding.

gguf itself unpacks the codes: a block with a scale of 1 and a minimum of 0 has them as its values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gguf import GGML_QUANT_SIZES, dequantize
from gguf import GGMLQuantizationType as Kind
from gguf.quants import Q4_K

from timebill_ros.inference.step.quantization import QuantizedWeight

Blocks = npt.NDArray[np.uint8]

_ONE, _ZERO = b'\x00\x3c', b'\x00\x00'  # in float16
_K_SCALES = bytes([1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1])
"""Eight scales of 1 and eight minimums of 0, as Q4_K and Q5_K have them."""


@dataclass(frozen=True)
class _Format:
    """How a format of GGUF is read.

    Arguments:
        kind: that of quantization.py that holds it.
        neutral: where a block has its scales, and the bytes that make its values its codes.
        scales: returns the parts of the weight but the codes, from blocks and their number in a
            row.
        offset: is added to the codes.
    """

    kind: str
    neutral: dict[int, bytes]
    scales: Callable[[Blocks], dict[str, npt.NDArray[Any]]]
    offset: int = 0


def quantized(data: Blocks, kind: Kind) -> QuantizedWeight | None:
    """Return a matrix as it is stored; None if its format is not one that can be kept so.

    Arguments:
        data: (rows, bytes of a row), as gguf's reader has it.
        kind: the format.
    """
    known = _FORMATS.get(kind)
    if known is None:
        return None
    rows = len(data)
    blocks = data.reshape(-1, GGML_QUANT_SIZES[kind][1])
    plain = blocks.copy()
    for place, content in known.neutral.items():
        plain[:, place : place + len(content)] = np.frombuffer(content, np.uint8)
    codes = dequantize(plain, kind) + known.offset
    is_signed = known.kind in ('int8', 'super6')
    parts = {
        name: torch.from_numpy(np.ascontiguousarray(values).reshape(rows, -1))
        for name, values in known.scales(blocks).items()
    }
    return QuantizedWeight(
        known.kind,
        torch.from_numpy(codes.astype(np.int8 if is_signed else np.uint8)).view(rows, -1),
        **parts,
    )


def _half(blocks: Blocks, place: int) -> npt.NDArray[np.float16]:
    return blocks[:, place : place + 2].copy().view(np.float16)


def _scale(blocks: Blocks) -> dict[str, npt.NDArray[Any]]:
    return {'scales': _half(blocks, 0)}


def _scale_and_minimum(blocks: Blocks) -> dict[str, npt.NDArray[Any]]:
    return {'scales': _half(blocks, 0), 'minimums': _half(blocks, 2)}


def _centred(zero: int) -> Callable[[Blocks], dict[str, npt.NDArray[Any]]]:
    """Return what reads a scale whose codes are that much larger than the values."""

    def read(blocks: Blocks) -> dict[str, npt.NDArray[Any]]:
        scales = _half(blocks, 0)
        return {'scales': scales, 'minimums': -zero * scales}  # a power of 2: exact

    return read


def _k_scales(blocks: Blocks) -> dict[str, npt.NDArray[Any]]:
    scales, minimums = Q4_K.get_scale_min(blocks[:, 4:16].copy())
    return {
        'scales': scales,
        'minimums': minimums,
        'super_scales': _half(blocks, 0),
        'super_minimums': -_half(blocks, 2),
    }


def _k6_scales(blocks: Blocks) -> dict[str, npt.NDArray[Any]]:
    return {
        'scales': blocks[:, 192:208].copy().view(np.int8),
        'super_scales': _half(blocks, 208),
    }


_FORMATS = {
    Kind.Q4_0: _Format('int4', {0: _ONE}, _centred(8), 8),
    Kind.Q4_1: _Format('int4', {0: _ONE + _ZERO}, _scale_and_minimum),
    Kind.Q5_0: _Format('int5', {0: _ONE}, _centred(16), 16),
    Kind.Q5_1: _Format('int5', {0: _ONE + _ZERO}, _scale_and_minimum),
    Kind.Q8_0: _Format('int8', {0: _ONE}, _scale),
    Kind.IQ4_NL: _Format('int8', {0: _ONE}, _scale),
    Kind.Q4_K: _Format('super4', {0: _ONE + _ZERO + _K_SCALES}, _k_scales),
    Kind.Q5_K: _Format('super5', {0: _ONE + _ZERO + _K_SCALES}, _k_scales),
    Kind.Q6_K: _Format('super6', {192: bytes([1] * 16) + _ONE}, _k6_scales),
}
