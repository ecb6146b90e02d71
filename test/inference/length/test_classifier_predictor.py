"""A classification model beside the prefill: compressed prompt, own thread, clear refusals."""

import math
import threading
from pathlib import Path

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
)

from support.built_in_tokenizer import built_in_tokenizer
from support.fake_cuda import GPU, FakeStream, fake_cuda, fake_cuda_threads
from support.tiny_models import tiny_target
from timebill_ros.core.length_distribution import BUCKETS
from timebill_ros.core.time_model import TimeModel
from timebill_ros.inference.length import classifier_predictor
from timebill_ros.inference.length.classifier_predictor import FEWEST_TOKENS, ClassifierPredictor
from timebill_ros.inference.length.predictor_loader import load_predictor

PROMPT = 'Bring the red box to the hall. ' * 40


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_classifier(tmp_path_factory.mktemp('classifier'), BUCKETS)


def saved_classifier(folder: Path, labels: int) -> Path:
    tokenizer = built_in_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=1024,
        num_labels=labels,
        pad_token_id=0,
    )
    LlamaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_folder_predicts_in_a_thread_of_its_own(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predictor = load_predictor(str(folder), tiny_target('llama'), 1.0)
    assert isinstance(predictor, ClassifierPredictor)
    assert [record.levelname for record in caplog.records] == ['WARNING']
    assert "may be another target's" in caplog.text
    threads: list[str] = []
    classified = predictor._classified

    def spy(ids: list[int]) -> object:
        threads.append(threading.current_thread().name)
        return classified(ids)

    predictor._classified = spy  # type: ignore[method-assign, assignment]
    with predictor.beside_prefill(PROMPT, [], math.inf) as reading:
        pass
    distribution = reading.distribution()
    assert distribution is not None
    assert distribution.probabilities.sum() == pytest.approx(1.0)
    assert threads[0].startswith('length_predictor')


def test_on_a_gpu_its_thread_has_a_stream(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_cuda(monkeypatch):
        monkeypatch.setattr(classifier_predictor, 'ThreadPoolExecutor', fake_cuda_threads)
        predictor = ClassifierPredictor(str(folder), GPU, torch.float32)
        with predictor.beside_prefill(PROMPT, [], math.inf) as reading:
            pass
        found = reading.distribution()
    on_cpu = ClassifierPredictor(str(folder), torch.device('cpu'), torch.float32)
    with on_cpu.beside_prefill(PROMPT, [], math.inf) as reading:
        pass
    expected = reading.distribution()
    assert found is not None
    assert expected is not None
    assert isinstance(predictor._stream, FakeStream)
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-6)


def test_the_prompt_is_as_long_as_the_prefill_hides(folder: Path) -> None:
    predictor = ClassifierPredictor(str(folder), torch.device('cpu'), torch.float32)
    predictor._time = TimeModel(0.0, 0.001, 0.02, 0.0, 0.0)
    read: list[int] = []
    classified = predictor._classified

    def spy(ids: list[int]) -> object:
        read.append(len(ids))
        return classified(ids)

    predictor._classified = spy  # type: ignore[method-assign, assignment]
    for prefill_s in (0.12, 0.2, 0.001, math.inf):
        with predictor.beside_prefill(PROMPT, [], prefill_s) as reading:
            reading.distribution()
    assert read[0] == pytest.approx(100, abs=1)
    assert read[1] == pytest.approx(180, abs=1)
    assert read[2] == FEWEST_TOKENS
    assert read[3] > 200


def test_a_prediction_that_fails_is_none_and_the_next_is_made(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predictor = ClassifierPredictor(str(folder), torch.device('cpu'), torch.float32)
    classified = predictor._classified

    def broken(ids: list[int]) -> object:
        raise RuntimeError('out of memory')

    predictor._classified = broken  # type: ignore[method-assign, assignment]
    with predictor.beside_prefill(PROMPT, [], math.inf) as reading:
        pass
    assert reading.distribution() is None
    assert 'out of memory' in caplog.text
    predictor._classified = classified  # type: ignore[method-assign]
    with predictor.beside_prefill(PROMPT, [], math.inf) as reading:
        pass
    assert reading.distribution() is not None


def test_a_model_with_a_short_context_reads_no_more_than_that(tmp_path: Path) -> None:
    tokenizer = built_in_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=100,  # a longer prompt is an IndexError
        num_labels=BUCKETS,
    )
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.model_max_length = 90  # as of models that keep some positions to themselves
    tokenizer.save_pretrained(tmp_path)
    predictor = ClassifierPredictor(str(tmp_path), torch.device('cpu'), torch.float32)
    read: list[int] = []
    classified = predictor._classified

    def spy(ids: list[int]) -> object:
        read.append(len(ids))
        return classified(ids)

    predictor._classified = spy  # type: ignore[method-assign, assignment]
    with predictor.beside_prefill(PROMPT, [], math.inf) as reading:
        pass
    assert reading.distribution() is not None
    assert read == [90]


def test_other_labels_are_refused(tmp_path: Path) -> None:
    saved_classifier(tmp_path, 7)
    with pytest.raises(ValueError, match='must have 512 labels, got 7'):
        load_predictor(str(tmp_path), tiny_target('llama'), 1.0)


def test_an_empty_folder_is_refused_with_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='cannot be loaded') as caught:
        load_predictor(str(tmp_path), tiny_target('llama'), 1.0)
    assert '\n' not in str(caught.value)
