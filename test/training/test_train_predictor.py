"""The command: from collected lengths to a predictor that the node loads."""

import dataclasses
from contextlib import nullcontext
from pathlib import Path

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from support.fake_cuda import fake_cuda
from support.planted_lengths import planted
from timebill_ros.inference.length.classifier_predictor import KEY_FILE, ClassifierPredictor
from timebill_ros.inference.length.predictor_loader import load_predictor
from timebill_ros.inference.length.state_predictor import StatePredictor, load_state_predictor
from timebill_ros.inference.loading.model_loader import BUILT_IN, load_target
from timebill_ros.training import train_predictor
from timebill_ros.training.head_training import HeadSettings
from timebill_ros.training.length_data import FILE, STATES_FILE
from timebill_ros.training.length_file import LengthFile
from timebill_ros.training.state_file import StateFile


def written(folder: Path, records: int, weights_hash: str) -> Path:
    data = planted(records, hidden=576, weights_hash=weights_hash)
    with (
        LengthFile(folder / FILE, data.key) as lengths,
        StateFile(folder / STATES_FILE, data.states.shape[1:], 0) as states,
    ):
        for record, row in zip(data.records, data.states, strict=True):
            states.add(row)
            lengths.add(record)
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr('sys.argv', ['train_predictor', *options])
    return train_predictor.main()


def test_a_predictor_and_its_card_come_of_lengths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = load_target(BUILT_IN, device='cpu')
    folder = written(tmp_path, 150, target.weights_hash)
    quick = dataclasses.replace(HeadSettings(), most_epochs=2, members=1)
    monkeypatch.setattr(train_predictor, 'HeadSettings', lambda: quick)
    assert run(monkeypatch, '--folder', str(folder), '--model', BUILT_IN) == 0
    path = folder / train_predictor.HEAD_NAME
    assert str(path) in capsys.readouterr().out
    card = path.with_suffix('.md').read_text()
    assert '| test |' in card
    assert target.weights_hash in card
    with pytest.raises(ValueError, match="quantization 'none', not 'int4'"):
        load_state_predictor(path, target, 1.0)
    plain = dataclasses.replace(target, quantized={})
    assert isinstance(load_state_predictor(path, plain, 1.0), StatePredictor)


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
def test_a_small_model_is_fine_tuned_into_a_folder_that_the_node_loads(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = load_target(BUILT_IN, device='cpu')
    folder = written(tmp_path / 'lengths', 120, target.weights_hash)
    backbone = tmp_path / 'backbone'
    config = LlamaConfig(
        vocab_size=len(target.tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=512,
    )
    LlamaForCausalLM(config).save_pretrained(backbone)
    target.tokenizer.save_pretrained(backbone)
    texts = ['What is this? ' * (1 + number % 3) for number in range(120)]
    monkeypatch.setattr(train_predictor, 'collected_texts', lambda data, seed: texts)
    output = tmp_path / 'out'
    options = ('--folder', str(folder), '--backbone', str(backbone), '--output', str(output))
    with fake_cuda(monkeypatch) if device == 'cuda' else nullcontext():
        assert run(monkeypatch, *options) == 0
    assert '| test |' in (output / 'README.md').read_text()
    plain = dataclasses.replace(target, quantized={})
    assert isinstance(load_predictor(str(output), plain, 1.0), ClassifierPredictor)
    with pytest.raises(ValueError, match=r'repetition_penalty 1\.0, not 1\.2'):
        load_predictor(str(output), plain, 1.2)
    (output / KEY_FILE).write_text('{}')
    with pytest.raises(ValueError, match='is damaged'):
        load_predictor(str(output), plain, 1.0)


@pytest.mark.parametrize(
    ('records', 'is_same', 'sentence'),
    [(150, False, 'holds the answers of'), (20, True, 'at least 100 are needed')],
)
def test_what_cannot_be_trained_on_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    records: int,
    is_same: bool,
    sentence: str,
) -> None:
    target = load_target(BUILT_IN, device='cpu')
    written(tmp_path, records, target.weights_hash if is_same else 'other')
    assert run(monkeypatch, '--folder', str(tmp_path)) == 1
    assert sentence in capsys.readouterr().err


def test_without_lengths_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert run(monkeypatch) == 1
    assert 'name the folder of the lengths' in capsys.readouterr().err
