"""Weights rounded once, kept in a mapped file, and made anew when the model has changed."""

import json
import math
import re
import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from support.tiny_model_folder import saved_qwen2
from timebill_ros.core.deadline import Deadline
from timebill_ros.inference import attention, checked_engine
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.loading import conversion_cache, model_quantization, packed_loading
from timebill_ros.inference.loading.model_loader import TargetModel, load_target
from timebill_ros.inference.loading.model_quantization import log_likelihood
from timebill_ros.inference.self_check import Verdict
from timebill_ros.inference.step.generic_step import GenericStep
from timebill_ros.inference.step.packed_modules import PackedEmbedding, PackedLinear
from timebill_ros.inference.step.quantization import quantize

NEVER = Interrupt(Deadline(math.inf))
IDS = list(range(300, 360))
SERVED = {'hidden_size': 64, 'num_attention_heads': 2, 'num_key_value_heads': 1}
"""What the compiled library serves: heads of 32 elements."""


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))


@pytest.fixture(scope='module')
def saved(tmp_path_factory) -> Path:
    return saved_qwen2(tmp_path_factory.mktemp('saved'), tie_word_embeddings=True, **SERVED)


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """Return a copy of the folder, which may be changed."""
    return Path(shutil.copytree(saved, tmp_path / 'model'))


@pytest.fixture
def no_rounding(monkeypatch):
    """Return what lets a test fail that reads the plain weights from now on."""

    def forbid():
        failing = staticmethod(lambda *_: pytest.fail('the plain weights were read again'))
        monkeypatch.setattr(packed_loading, 'plain_model', failing)

    return forbid


def load(folder: Path, quantization: str = 'auto') -> TargetModel:
    return load_target(str(folder), 'cpu', 'float32', quantization)


def logits(target: TargetModel) -> torch.Tensor:
    return Engine(target, DecodingSettings()).prefill(IDS, 1, NEVER).logits


def rounded_reference(folder: Path, bits: int) -> Qwen2ForCausalLM:
    """Return transformers' model, its matrices rounded in place."""
    model = Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                is_head = 'embed_tokens' in name or 'lm_head' in name
                weight = quantize(parameter, 8 if is_head else bits)
                parameter.copy_(weight.dequantized())
    return model


@pytest.mark.parametrize(
    ('quantization', 'bits'), [('auto', 8), ('int8', 8), ('int4', 4)], ids=str
)
def test_a_folder_is_served_with_its_weights_rounded(
    folder: Path, quantization: str, bits: int
) -> None:
    target, reference = load(folder, quantization), rounded_reference(folder, bits)
    assert target.quantization == f'int{bits}'
    modules = dict(target.model.named_modules())
    for name, parameter in reference.named_parameters():
        module = modules[name.rpartition('.')[0]]
        if parameter.ndim == 2:
            assert isinstance(module, PackedLinear | PackedEmbedding)
            torch.testing.assert_close(module.packed.dequantized(), parameter.data, rtol=0, atol=0)
        else:
            found = target.model.get_parameter(name)
            torch.testing.assert_close(found.data, parameter.data, rtol=0, atol=0)
    with torch.no_grad():
        expected = reference(torch.tensor([IDS])).logits[0, -1]
    torch.testing.assert_close(logits(target), expected, rtol=1e-4, atol=1e-4)


def test_a_head_of_its_own_is_rounded_apart_from_the_embedding(folder: Path) -> None:
    config = Qwen2Config.from_pretrained(folder, tie_word_embeddings=False)
    Qwen2ForCausalLM(config).save_pretrained(folder)
    target = load(folder)
    head, embedding = target.model.lm_head.packed, target.model.model.embed_tokens.packed
    assert head.kind == embedding.kind == 'int8'
    assert not torch.equal(head.data, embedding.data)


def test_tied_weights_are_in_memory_once(folder: Path) -> None:
    model = load(folder).model
    assert model.lm_head.packed.data.data_ptr() == model.model.embed_tokens.packed.data.data_ptr()


def test_weights_lie_on_cache_lines_of_a_mapped_file(folder: Path) -> None:
    target = load(folder)
    maps = [
        tuple(int(end, 16) for end in line.split()[0].split('-'))
        for line in Path('/proc/self/maps').read_text().splitlines()
        if line.endswith('packed.safetensors')
    ]
    for weight in target.quantized.values():
        address = weight.data.data_ptr()
        assert address % 64 == 0
        assert any(first <= address < last for first, last in maps)


def test_none_leaves_the_weights_as_they_are(folder: Path) -> None:
    target = load(folder, 'none')
    assert target.quantization == 'none' and not target.quantized
    reference = Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for name, parameter in reference.named_parameters():
        assert torch.equal(target.model.get_parameter(name), parameter)


def test_weights_are_rounded_once(folder: Path, no_rounding, caplog) -> None:
    caplog.set_level('INFO')
    expected = logits(load(folder))
    assert f'rounding the weights of {folder} to 8 bits, once' in caplog.text
    caplog.clear()
    no_rounding()
    torch.testing.assert_close(logits(load(folder)), expected, rtol=0, atol=0)
    assert 'rounding the weights' not in caplog.text


def test_what_rounding_costs_is_measured_and_logged_at_each_start(folder: Path, caplog) -> None:
    caplog.set_level('INFO')
    target = load(folder, 'int4')
    reference = Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    (kept,) = (folder.parent / 'cache').glob('timebill_ros/models/*/loss.json')
    content = json.loads(kept.read_text())
    assert content['quantization'] == 'int4' and len(content['texts']) == 4
    ids = target.tokenizer(model_quantization._TEXTS[0], add_special_tokens=False).input_ids
    first = content['texts'][0]
    assert first['tokens'] == len(ids) > 40
    assert first['rounded'] == pytest.approx(log_likelihood(target.model, ids), abs=1e-5)
    batch = torch.tensor([ids])
    with torch.no_grad():
        plain = -float(reference(batch, labels=batch).loss)
    assert first['plain'] == pytest.approx(plain, abs=1e-4)
    assert abs(first['plain'] - first['rounded']) > 1e-5  # 4 bits are not for nothing
    for _ in range(2):
        logged = re.search(
            r'quantization int4: log-likelihood of 4 texts of (\d+) tokens (\S+) a token, '
            r'(\S+) without; the text that loses most loses (\S+)',
            caplog.text,
        )
        assert logged is not None
        tokens = [text['tokens'] for text in content['texts']]
        assert int(logged[1]) == sum(tokens)
        for found, which in ((logged[2], 'rounded'), (logged[3], 'plain')):
            mean = sum(text[which] * text['tokens'] for text in content['texts']) / sum(tokens)
            assert float(found) == pytest.approx(mean, abs=6e-4)
        worst = max(text['plain'] - text['rounded'] for text in content['texts'])
        assert float(logged[4]) == pytest.approx(worst, abs=6e-4)
        caplog.clear()
        load(folder, 'int4')


def test_other_weights_under_the_same_path_are_rounded_anew(folder: Path) -> None:
    load(folder)
    file = folder / 'model.safetensors'
    before = file.read_bytes()
    model = Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():  # neither the first nor the last megabyte of the file
        model.model.embed_tokens.weight[len(model.model.embed_tokens.weight) // 2] += 1
    model.save_pretrained(folder)
    after = file.read_bytes()
    assert len(after) == len(before)
    assert after[: 1 << 20] == before[: 1 << 20] and after[-(1 << 20) :] == before[-(1 << 20) :]
    found = load(folder).model.model.embed_tokens.packed.dequantized()
    expected = rounded_reference(folder, 8).model.embed_tokens.weight
    torch.testing.assert_close(found, expected.data, rtol=0, atol=0)


def test_another_configuration_under_the_same_path_is_served(folder: Path) -> None:
    assert load(folder).context_length == 512
    for name, change in (
        ('config.json', {'max_position_embeddings': 256}),
        ('generation_config.json', {'repetition_penalty': 1.25}),
    ):
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    target = load(folder)
    assert target.context_length == 256
    assert target.repetition_penalty == 1.25


@pytest.mark.parametrize('damage', ['cut', 'changed', 'removed', 'no manifest'])
def test_a_damaged_file_is_made_anew(folder: Path, damage: str, caplog) -> None:
    expected = logits(load(folder))
    (file,) = (folder.parent / 'cache').glob('timebill_ros/models/*/packed.safetensors')
    content = file.read_bytes()
    if damage == 'cut':
        file.write_bytes(content[:-64])
    elif damage == 'changed':
        file.write_bytes(content[:100] + bytes(50) + content[150:])
    elif damage == 'removed':
        file.unlink()
    else:
        (file.parent / 'files.json').unlink()
    torch.testing.assert_close(logits(load(folder)), expected, rtol=0, atol=0)
    assert f'{file.parent} is damaged' in caplog.text


def test_an_interrupted_rounding_leaves_nothing_and_is_done_again(
    folder: Path, monkeypatch, no_rounding
) -> None:
    write = packed_loading.RoundedConversion.write

    def interrupted(self, folder):
        write(self, folder)
        raise KeyboardInterrupt

    models = folder.parent / 'cache/timebill_ros/models'
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(packed_loading.RoundedConversion, 'write', interrupted)
        load(folder)
    assert [path.name for path in models.iterdir()] == ['.lock']
    left = models / '.converting-killed'  # by SIGKILL, or a power cut
    left.mkdir()
    (left / 'packed.safetensors').write_bytes(bytes(1000))
    expected = logits(load(folder))
    assert not left.exists()
    no_rounding()
    torch.testing.assert_close(logits(load(folder)), expected, rtol=0, atol=0)


def test_a_disk_that_fills_up_is_said_in_a_sentence(folder: Path, monkeypatch) -> None:
    def full_disk(path):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(conversion_cache, '_sync', full_disk)
    with pytest.raises(ValueError, match=r'cannot be loaded: .*No space left on device') as raised:
        load(folder)
    assert '\n' not in str(raised.value)
    models = folder.parent / 'cache/timebill_ros/models'
    assert [path.name for path in models.iterdir()] == ['.lock']


def test_without_room_in_the_cache_the_temporary_file_is_found_again(
    folder: Path, monkeypatch, no_rounding, caplog
) -> None:
    usage = conversion_cache.shutil.disk_usage

    def full(path):
        measured = usage(path)
        return measured._replace(free=100) if '/cache/' in str(path) else measured

    monkeypatch.setattr(conversion_cache.shutil, 'disk_usage', full)
    expected = logits(load(folder))
    assert 'is full' in caplog.text
    assert len(list(folder.parent.glob('timebill_ros-*/models/*/packed.safetensors'))) == 1
    assert not list(folder.parent.glob('cache/timebill_ros/models/*/*'))
    no_rounding()
    torch.testing.assert_close(logits(load(folder)), expected, rtol=0, atol=0)


def test_a_cache_that_cannot_be_written_is_replaced_by_a_temporary_one(
    folder: Path, monkeypatch, no_rounding
) -> None:
    expected = logits(load(folder))
    blocked = folder.parent / 'blocked'
    blocked.write_text('a file where a folder would be')
    monkeypatch.setenv('XDG_CACHE_HOME', str(blocked))
    torch.testing.assert_close(logits(load(folder)), expected, rtol=0, atol=0)
    assert len(list(folder.parent.glob('timebill_ros-*/models/*/packed.safetensors'))) == 1
    no_rounding()
    torch.testing.assert_close(logits(load(folder)), expected, rtol=0, atol=0)


def test_a_model_that_the_library_does_not_serve_after_all_gets_plain_weights(
    folder: Path, monkeypatch, caplog
) -> None:
    target = load(folder)
    expected = logits(target)
    checked = Verdict(attention.NAME, GenericStep.name, True, 'is tried out')
    monkeypatch.setattr(checked_engine, 'self_check', lambda _: checked)
    engine = checked_engine.checked_engine(Engine(target, DecodingSettings()))
    assert isinstance(engine.step, GenericStep)
    assert not any(isinstance(module, PackedLinear) for module in target.model.modules())
    found = engine.prefill(IDS, 1, NEVER).logits
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_tokenizer_without_these_words_leaves_nothing_to_log(folder: Path, caplog) -> None:
    caplog.set_level('INFO')
    (folder / 'loss.json').write_text('{"quantization": "int8", "texts": []}')
    model_quantization.log_loss(folder)
    model_quantization.log_loss(folder.parent)  # nothing was rounded
    assert 'log-likelihood' not in caplog.text
