"""What the engine does on a GPU, on one that is faked: see fake_cuda.py."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.eviction.evicted_answers import EvictedAnswers
from benchmark.eviction.random_scorer import RandomScorer
from support.fake_cuda import GPU, FakeCudaTensor, FakeEvent, fake_cuda
from support.tiny_models import (
    ARCHITECTURES,
    NEVER,
    decoded,
    random_prompt,
    tiny_model,
    tiny_target,
)
from timebill_ros.core.deadline import Deadline
from timebill_ros.inference import attention
from timebill_ros.inference.cache.scorers import SCORERS
from timebill_ros.inference.cache.scorers.scorer import Scorer
from timebill_ros.inference.cache.scorers.streaming_llm import StreamingLLM
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.length.state_head import StateHead
from timebill_ros.inference.length.state_predictor import StatePredictor
from timebill_ros.inference.loading.device_choice import choose_dtype
from timebill_ros.inference.loading.model_loader import load_target
from timebill_ros.inference.step.decoding_step import decoding_step
from timebill_ros.inference.step.generic_step import GenericStep
from timebill_ros.inference.step.graph_step import GraphStep


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with fake_cuda(monkeypatch):
        yield


def on_gpu(architecture: str) -> Any:
    """Return a tiny target on the device, of the same weights as on the CPU."""
    model = tiny_model.__wrapped__(architecture).to(GPU)
    return replace(tiny_target(architecture), model=model, device=GPU)


@pytest.mark.parametrize('architecture', ARCHITECTURES)
def test_tokens_and_logits_are_those_of_the_cpu(architecture: str, cuda: None) -> None:
    found = []
    for target in (tiny_target(architecture), on_gpu(architecture)):
        on_cpu = target.device.type == 'cpu'
        step = GenericStep(target.model) if on_cpu else decoding_step(target.model, {})
        engine = Engine(target, DecodingSettings(repetition_penalty=1.2), step=step)
        for prompt_tokens, kept in ((150, 100), (250, 250)):
            prefilled = engine.prefill(random_prompt(prompt_tokens), 30, NEVER)
            engine.evict(prefilled, kept)
            found.append(decoded(engine, prefilled, 30))
    assert isinstance(engine.step, GenericStep if architecture == 'gemma3' else GraphStep)
    for (ids, logits), (gpu_ids, gpu_logits) in zip(found[:2], found[2:], strict=True):
        assert isinstance(gpu_logits, FakeCudaTensor)
        torch.testing.assert_close(gpu_logits.cpu(), logits, rtol=1e-4, atol=1e-4)
        assert gpu_ids == ids


@pytest.mark.parametrize('architecture', ARCHITECTURES)
def test_a_chunk_behind_others_needs_no_kernel_that_writes_all_scores_to_memory(
    architecture: str, cuda: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a mask and query heads that share a KV head, torch has no other kernel there."""
    attended = attention.scaled_dot_product_attention

    def spy(*tensors: torch.Tensor, **how: Any) -> torch.Tensor:
        assert how.get('attn_mask') is None or not how.get('enable_gqa', False)
        return attended(*tensors, **how)

    expected = Engine(tiny_target(architecture), DecodingSettings()).prefill(
        random_prompt(150), 1, NEVER
    )
    monkeypatch.setattr(attention, 'scaled_dot_product_attention', spy)
    target = on_gpu(architecture)
    engine = Engine(target, DecodingSettings(), step=GenericStep(target.model))
    found = engine.prefill(random_prompt(150), 1, NEVER, ((0, 40), (40, 41), (41, 150)))
    torch.testing.assert_close(found.logits.cpu(), expected.logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ('capability', 'dtype'),
    [
        ((7, 2), torch.float16),
        ((7, 5), torch.float16),
        ((8, 7), torch.bfloat16),
        ((12, 0), torch.bfloat16),
    ],
)
def test_bf16_is_chosen_where_it_is_not_emulated(
    capability: tuple[int, int],
    dtype: torch.dtype,
    cuda: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda _: capability)
    assert choose_dtype('auto', GPU) == dtype


@pytest.mark.parametrize('scorer', [*SCORERS.values(), RandomScorer])
def test_every_scorer_evicts_there(scorer: type[Scorer], cuda: None) -> None:
    engine = Engine(on_gpu('llama'), DecodingSettings(), scorer())
    prefilled = engine.prefill(random_prompt(200), 4, NEVER)
    engine.evict(prefilled, 120)
    assert prefilled.cache.get_seq_length() == 120
    assert len(list(engine.decode(prefilled, 4, NEVER))) == 4


def test_no_more_than_a_few_layers_of_a_prefill_are_queued(cuda: None) -> None:
    target = on_gpu('llama')
    engine = Engine(target, DecodingSettings(), step=GenericStep(target.model))
    queued: list[int] = []

    class Counting(Interrupt):
        def check(self) -> None:
            queued.append(len(FakeEvent.pending))

    engine.prefill(random_prompt(40), 4, Counting(Deadline(float('inf'))))
    assert queued == [1, 2, 2]  # a layer each: the third has waited for the first
    assert len(FakeEvent.pending) == 0


def test_a_prefill_does_not_wait_for_other_streams(
    cuda: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A length predictor's would be billed as the prefill's time."""
    target, waited = on_gpu('llama'), list[Any]()
    engine = Engine(target, DecodingSettings(), step=GenericStep(target.model))
    monkeypatch.setattr(torch.cuda, 'synchronize', waited.append)
    engine.evict(engine.prefill(random_prompt(200), 4, NEVER), 120)
    assert waited == []
    assert len(FakeEvent.pending) == 0


def test_a_step_that_waits_for_the_device_is_not_recorded(
    cuda: None, caplog: pytest.LogCaptureFixture
) -> None:
    before = torch.cuda.current_stream()
    assert isinstance(decoding_step(on_gpu('llama-dynamic').model, {}), GenericStep)
    assert torch.cuda.current_stream() is before
    assert 'not permitted when stream is capturing' in caplog.text


def test_a_folder_is_loaded_onto_it(qwen2: Path, cuda: None) -> None:
    ids, found = list(range(100, 190)), []
    for device in ('cpu', 'cuda'):
        target = load_target(str(qwen2), device, 'float32', 'none')
        engine = Engine(target, DecodingSettings())
        found.append(
            [token for token, _ in engine.decode(engine.prefill(ids, 9, NEVER), 9, NEVER)]
        )
    assert target.device == target.model.device == GPU
    assert load_target(str(qwen2), 'auto').dtype == torch.bfloat16
    assert found[0] == found[1]


@pytest.mark.parametrize(('device', 'index'), [('cuda', 0), ('cuda:1', 1)])
def test_streams_and_graphs_are_made_on_the_chosen_one(
    device: str, index: int, qwen2: Path, cuda: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    monkeypatch.setattr(torch.cuda, 'set_device', chosen.append)
    assert load_target(str(qwen2), device).device == torch.device('cuda', index)
    assert chosen == [index]


def test_a_model_that_does_not_fit_is_said_in_a_sentence(
    qwen2: Path, cuda: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB.\nSee more.')

    monkeypatch.setattr(torch.nn.Module, 'to', refuse)
    with pytest.raises(
        ValueError, match="cannot be put on device 'cuda:0': CUDA out of"
    ) as raised:
        load_target(str(qwen2), 'cuda')
    assert '\n' not in str(raised.value)


def test_a_length_is_predicted_there(cuda: None) -> None:
    target = on_gpu('llama')
    engine = Engine(target, DecodingSettings())
    predictor = StatePredictor(target, StateHead((1, 2), 96, 2))
    with predictor.beside_prefill('', random_prompt(40), 0.0) as reading:
        engine.prefill(random_prompt(40), 4, NEVER)
    found = reading.distribution()
    assert found is not None
    assert found.probabilities.sum() == pytest.approx(1.0)


def test_an_evicted_cache_rates_an_answer_as_on_the_cpu(qwen2: Path, cuda: None) -> None:
    found = []
    for device in ('cpu', 'cuda'):
        engine = Engine(load_target(str(qwen2), device, 'float32', 'none'), DecodingSettings())
        answers = EvictedAnswers(engine, list(range(100, 250)), 30)
        evicted = answers.evicted(StreamingLLM(), 0.25)
        found.append(answers.log_likelihood(evicted, [3, 1, 4, 1, 5]))
    assert found[1] == pytest.approx(found[0], rel=1e-4)
