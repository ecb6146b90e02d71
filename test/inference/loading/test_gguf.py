"""GGUF files: what is read of them, and what is refused."""

import math
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from transformers import AutoModelForCausalLM

from support.tiny_gguf import (
    CONTEXT,
    HEAD_SIZE,
    HIDDEN,
    TEMPLATE,
    saved_gguf,
    saved_split,
    weights,
)
from timebill_ros.core.deadline import Deadline
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.loading import gguf_conversion
from timebill_ros.inference.loading.model_loader import TargetModel, load_target
from timebill_ros.inference.step import decoder_library

NEVER = Interrupt(Deadline(math.inf))
IDS = list(range(3, 200))


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def logits(target: TargetModel, ids: list[int] = IDS) -> torch.Tensor:
    return Engine(target, DecodingSettings()).prefill(ids, 1, NEVER).logits


def load(path: Path) -> TargetModel:
    return load_target(str(path), device='cpu', dtype='float32')


def test_a_split_file_is_read_whole(tmp_path: Path) -> None:
    whole = load(saved_gguf(tmp_path / 'whole.gguf'))
    parts = saved_split(tmp_path)
    for part in parts:
        torch.testing.assert_close(logits(load(part)), logits(whole), rtol=0, atol=0)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    first, second = saved_split(tmp_path)
    second.unlink()
    with pytest.raises(ValueError, match=r'put model-00002-of-00002\.gguf beside'):
        load(first)


def test_a_part_under_another_name_is_refused(tmp_path: Path) -> None:
    first, _ = saved_split(tmp_path)
    with pytest.raises(ValueError, match='7 of 20 tensors: it is a part of a split file'):
        load(first.rename(tmp_path / 'model.gguf'))


def test_missing_tensors_are_named_and_nothing_is_written(tmp_path: Path) -> None:
    kept = {name: values for name, values in weights().items() if 'blk.1.ffn_' not in name}
    with pytest.raises(
        ValueError, match=r'lacks 4 tensors \(blk\.1\.ffn_down\.weight, blk\.1\.ffn_gate'
    ):
        load(saved_gguf(tmp_path / 'model.gguf', kept))
    assert not list(tmp_path.glob('cache/timebill_ros/models/*'))


@pytest.mark.parametrize('name', ['blk.2.attn_q.weight', 'blk.0.attn_q.bias'])
def test_a_tensor_without_a_place_is_refused(tmp_path: Path, name: str) -> None:
    values = weights(layers=3).get(name, np.ones(128, np.float32))
    with pytest.raises(ValueError, match=f'has no place for its 1 tensor \\({name}\\)'):
        load(saved_gguf(tmp_path / 'model.gguf', weights() | {name: values}))


def test_a_tensor_of_another_size_is_refused(tmp_path: Path) -> None:
    wrong = {'blk.0.ffn_up.weight': np.ones((32, 64), np.float32)}
    with pytest.raises(ValueError, match=r'blk\.0\.ffn_up\.weight is of size'):
        load(saved_gguf(tmp_path / 'model.gguf', weights() | wrong))
    assert not list(tmp_path.glob('cache/timebill_ros/models/[!.]*'))


def test_a_file_without_a_template_is_refused_before_it_is_converted(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='has no chat template'):
        load(saved_gguf(tmp_path / 'model.gguf', template=None))
    assert not list(tmp_path.glob('cache/timebill_ros/models/*'))


def test_a_file_without_a_template_is_served_with_one_from_a_file(tmp_path: Path) -> None:
    path, template = saved_gguf(tmp_path / 'model.gguf', template=None), tmp_path / 'mine.jinja'
    template.write_text(TEMPLATE)
    target = load_target(str(path), 'cpu', 'float32', chat_template=str(template))
    assert target.tokenizer.chat_template == TEMPLATE
    with pytest.raises(ValueError, match='has no chat template: set chat_template to a file'):
        load(path)  # though it has been converted


@pytest.mark.parametrize('kind', [Kind.BF16, Kind.F16, Kind.Q5_1, Kind.Q8_0, Kind.Q4_1])
def test_number_formats_are_read_as_they_are(tmp_path: Path, kind: Kind) -> None:
    rounded = {
        name: values
        if values.ndim == 1
        else gguf.dequantize(gguf.quantize(values, kind), kind).astype(np.float32)
        for name, values in weights().items()
    }
    expected = load(saved_gguf(tmp_path / 'plain.gguf', rounded))
    target = load(saved_gguf(tmp_path / 'model.gguf', kind=kind))
    torch.testing.assert_close(logits(target), logits(expected), rtol=1e-5, atol=1e-5)
    bits = {Kind.Q8_0: 'int8', Kind.Q5_1: 'int5', Kind.Q4_1: 'int4'}
    assert target.quantization == bits.get(kind, 'none')


@pytest.mark.parametrize('rows', [32, 1 << 14], ids=['in parts', 'whole'])
@pytest.mark.parametrize('kind', [Kind.Q8_0, Kind.Q4_1, Kind.F16], ids=lambda kind: kind.name)
def test_packed_rows_stand_where_transformers_has_them(
    tmp_path: Path, monkeypatch, kind: Kind, rows: int
) -> None:
    # llama.cpp permutes the rows of queries and keys, of Mistral's files too: they say 'llama'.
    monkeypatch.setattr(gguf_conversion, '_PART_ELEMENTS', rows * HIDDEN)
    target = load(saved_gguf(tmp_path / 'model.gguf', kind=kind))
    reference = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file='model.gguf')
    assert len(target.quantized) == 15
    for name, weight in target.quantized.items():
        expected = reference.get_submodule(name).weight.detach().float()
        torch.testing.assert_close(weight.dequantized(), expected, rtol=0, atol=0)
    embedding = target.model.model.embed_tokens.packed
    expected = reference.model.embed_tokens.weight.detach().float()
    torch.testing.assert_close(embedding.dequantized(), expected, rtol=0, atol=0)


def test_a_file_that_was_packed_is_served_without_the_compiled_library_too(
    tmp_path: Path, monkeypatch
) -> None:
    path = saved_gguf(tmp_path / 'model.gguf')
    packed = load(path)
    assert packed.quantized
    expected = logits(packed)
    monkeypatch.setattr(decoder_library, 'library', lambda: None)
    monkeypatch.setattr(decoder_library, 'why_not', lambda: 'it is not built')
    plain = load(path)
    assert not plain.quantized
    torch.testing.assert_close(logits(plain), expected, rtol=1e-3, atol=1e-3)


def test_another_file_under_the_same_path_is_converted(tmp_path: Path) -> None:
    path = saved_gguf(tmp_path / 'model.gguf')
    before, size = logits(load(path)), path.stat().st_size
    after = logits(load(saved_gguf(path, weights(seed=1))))
    assert path.stat().st_size == size
    assert (after - before).norm() > 0.1 * before.norm()


def _reference(path: Path, rope: dict) -> torch.Tensor:
    """Return the logits of a file's weights under a configuration of our own."""
    target = load_target(str(path), 'cpu', 'float32', 'none')
    config = target.model.config.__class__.from_dict(target.model.config.to_dict())
    config.rope_parameters = {'rope_theta': 10000.0, **rope}
    model = AutoModelForCausalLM.from_config(config, attn_implementation='eager').eval()
    model.load_state_dict(target.model.state_dict())
    with torch.no_grad():
        return model(torch.tensor([IDS])).logits[0, -1]


def test_yarn_is_in_the_configuration(tmp_path: Path) -> None:
    def yarn(writer):
        writer.add_string('llama.rope.scaling.type', 'yarn')
        writer.add_float32('llama.rope.scaling.factor', 4.0)
        writer.add_uint32('llama.rope.scaling.original_context_length', 128)

    path = saved_gguf(tmp_path / 'model.gguf', more=yarn)
    target = load(path)
    rope = {'rope_type': 'yarn', 'factor': 4.0, 'original_max_position_embeddings': 128}
    torch.testing.assert_close(logits(target), _reference(path, rope), rtol=1e-4, atol=1e-4)
    plain = _reference(path, {'rope_type': 'default'})
    assert (logits(target) - plain).norm() > 0.1 * plain.norm()


def test_linear_scaling_is_in_the_configuration(tmp_path: Path) -> None:
    def linear(writer):
        writer.add_string('llama.rope.scaling.type', 'linear')
        writer.add_float32('llama.rope.scaling.factor', 2.0)

    path = saved_gguf(tmp_path / 'model.gguf', more=linear)
    target = load(path)
    expected = _reference(path, {'rope_type': 'linear', 'factor': 2.0})
    torch.testing.assert_close(logits(target), expected, rtol=1e-4, atol=1e-4)


def test_the_factors_of_llama_3_are_the_files_own(tmp_path: Path) -> None:
    factor, low, high, original = 8.0, 1.0, 4.0, 128
    frequencies = 10000.0 ** -(np.arange(0, HEAD_SIZE, 2) / HEAD_SIZE)
    lengths = 2 * math.pi / frequencies
    smooth = np.clip((original / lengths - low) / (high - low), 0, 1)
    factors = (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)
    assert factors[0] == 1 and factors[-1] == 8

    def table(writer):
        writer.add_tensor('rope_freqs.weight', factors)

    path = saved_gguf(tmp_path / 'model.gguf', more=table)
    target = load(path)
    rope = {
        'rope_type': 'llama3',
        'factor': factor,
        'low_freq_factor': low,
        'high_freq_factor': high,
        'original_max_position_embeddings': original,
    }
    torch.testing.assert_close(logits(target), _reference(path, rope), rtol=1e-4, atol=1e-4)
    assert target.context_length == CONTEXT


def test_an_unknown_scaling_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="its rope scaling 'spiral' is not known"):
        load(
            saved_gguf(
                tmp_path / 'model.gguf',
                more=lambda writer: writer.add_string('llama.rope.scaling.type', 'spiral'),
            )
        )


def test_an_interrupted_conversion_is_removed_at_the_next_start(tmp_path: Path) -> None:
    left = tmp_path / 'cache/timebill_ros/models/.converting-left'
    left.mkdir(parents=True)
    (left / 'model.safetensors').write_bytes(bytes(1000))
    load(saved_gguf(tmp_path / 'model.gguf'))
    assert not left.exists()


@pytest.mark.parametrize('damage', ['cut', 'changed', 'removed'])
def test_a_damaged_conversion_is_made_anew(tmp_path: Path, caplog, damage: str) -> None:
    path = saved_gguf(tmp_path / 'model.gguf')
    expected = logits(load(path))
    file = next(tmp_path.glob('cache/timebill_ros/models/*/packed.safetensors'))
    content = file.read_bytes()
    if damage == 'cut':
        file.write_bytes(content[: len(content) // 2])
    elif damage == 'changed':
        file.write_bytes(content[:100] + bytes(50) + content[150:])
    else:
        file.unlink()
    torch.testing.assert_close(logits(load(path)), expected, rtol=0, atol=0)
    assert str(file.parent) in caplog.text and 'damaged' in caplog.text
    caplog.clear()
    load(path)
    assert 'damaged' not in caplog.text


def test_a_conversion_is_announced_with_how_long_it_takes(tmp_path: Path, caplog) -> None:
    caplog.set_level('INFO')
    path = saved_gguf(tmp_path / 'model.gguf')
    load(path)
    assert f'converting {path}, once for this file: this takes about 5 s' in caplog.text
    caplog.clear()
    load(path)
    assert 'converting' not in caplog.text


def test_a_conversion_that_fails_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    from timebill_ros.inference.loading import conversion_cache

    def full_disk(path):
        raise OSError('No space left on device')

    monkeypatch.setattr(conversion_cache, '_sync', full_disk)
    with pytest.raises(ValueError, match='No space left on device'):
        load(saved_gguf(tmp_path / 'model.gguf'))
    assert not list(tmp_path.glob('cache/timebill_ros/models/[!.]*'))
    assert not list(tmp_path.glob('cache/timebill_ros/models/.converting*'))


def test_a_disk_without_room_is_passed_over(tmp_path: Path, monkeypatch, caplog) -> None:
    from timebill_ros.inference.loading import conversion_cache

    temporary = tmp_path / 'temporary'
    monkeypatch.setattr(conversion_cache, 'temporary_folder', lambda: temporary)
    usage = conversion_cache.shutil.disk_usage

    def full(folder):
        measured = usage(folder)
        return measured._replace(free=100) if 'cache' in str(folder) else measured

    monkeypatch.setattr(conversion_cache.shutil, 'disk_usage', full)
    load(saved_gguf(tmp_path / 'model.gguf'))
    assert len(list(temporary.glob('models/*/packed.safetensors'))) == 1
    assert 'is full' in caplog.text
