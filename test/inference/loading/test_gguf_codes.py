"""Each format of GGUF is read and packed exactly, and looked up row by row."""

import gguf
import pytest
import torch
from gguf import GGMLQuantizationType as Kind

from support.random_blocks import FORMATS, random_blocks
from timebill_ros.inference.loading.gguf_codes import quantized
from timebill_ros.inference.step.packed_weight import packed

ROWS, COLUMNS = 77, 512  # the last block of rows is padded


def same(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether two tensors are equal bit by bit, but for the sign of zero."""
    return torch.equal(found + 0.0, expected + 0.0)


@pytest.mark.parametrize('kind', FORMATS, ids=lambda kind: kind.name)
def test_codes_and_scales_are_the_files_own(kind: Kind) -> None:
    data = random_blocks(ROWS, COLUMNS, kind)
    expected = torch.from_numpy(gguf.dequantize(data, kind).copy())
    weight = quantized(data, kind)
    assert weight is not None
    assert same(weight.dequantized(), expected)
    assert expected.std() > 1e-3


@pytest.mark.parametrize('kind', FORMATS, ids=lambda kind: kind.name)
def test_packed_rows_are_looked_up_exactly(kind: Kind) -> None:
    data = random_blocks(ROWS, COLUMNS, kind)
    expected = torch.from_numpy(gguf.dequantize(data, kind).copy())
    weight = quantized(data, kind)
    assert weight is not None
    found = packed(weight)
    rows = torch.tensor([76, 0, 31, 32, 5, 5])
    assert same(found.lookup(rows), expected[rows])
    assert same(found.dequantized(), expected)
    assert found.data.shape[0] == 3 and found.data.shape[1] % 64 == 0


def test_rows_can_be_taken_in_another_order() -> None:
    weight = quantized(random_blocks(64, 256, Kind.Q4_K), Kind.Q4_K)
    assert weight is not None
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    assert same(weight.rows(order).dequantized(), weight.dequantized()[order])


def test_a_format_that_no_kind_holds_is_left_alone() -> None:
    assert quantized(random_blocks(8, 256, Kind.Q4_K), Kind.Q2_K) is None
