"""The step in a cache of fixed size, run on a CPU; recording needs a GPU."""

import pytest
import torch

from support.tiny_models import NEVER, random_prompt, tiny_model, tiny_target
from support.unusual_models import UNUSUAL, unusual_model
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.step import decoding_step, graph_step
from timebill_ros.inference.step.generic_step import GenericStep
from timebill_ros.inference.step.graph_step import GraphStep


@pytest.mark.parametrize('evicted', [False, True])
@pytest.mark.parametrize('architecture', ['llama', 'qwen2', 'qwen3', 'mistral'])
def test_logits_are_the_generic_steps_across_buckets_and_answers(architecture, evicted):
    target = tiny_target(architecture)
    step = GraphStep(target.model, bucket_tokens=16)
    engine = Engine(target, DecodingSettings(), step=step)
    for seed in (0, 1):  # the second answer finds the first one's cache
        logits = []
        for each in (step, GenericStep(target.model)):
            prefilled = engine.prefill(random_prompt(110 - 20 * seed, seed), 24, NEVER)
            if evicted:
                engine.evict(prefilled, 84)
            with each.answering(prefilled.cache, len(prefilled.prompt_ids), 24) as answering:
                tokens = torch.tensor(random_prompt(24, seed + 5))
                logits.append(torch.stack([answering.logits(t).clone() for t in tokens]))
        torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-4)


def test_what_does_not_fit_takes_the_generic_step():
    target = tiny_target('llama')
    step = GraphStep(target.model, bucket_tokens=16, capacity=64)
    prefilled = Engine(target, DecodingSettings(), step=step).prefill(random_prompt(60), 9, NEVER)
    with step.answering(prefilled.cache, 60, 5) as answering:
        assert isinstance(answering, GenericStep)
    with step.answering(prefilled.cache, 60, 4) as answering:
        assert answering is step


def test_only_full_attention_on_a_gpu_is_recorded():
    assert graph_step.why_not(tiny_model('llama')) == 'the model is on cpu'


def test_what_cannot_be_recorded_takes_the_generic_step(monkeypatch, caplog):
    def refuse(model):
        raise RuntimeError('operation not permitted when stream is capturing')

    monkeypatch.setattr(graph_step, 'why_not', lambda model: '')
    monkeypatch.setattr(decoding_step, 'GraphStep', refuse)
    assert isinstance(decoding_step.decoding_step(tiny_target('gemma3').model, {}), GenericStep)
    assert 'not permitted when stream is capturing' in caplog.text


@pytest.mark.parametrize('kind', UNUSUAL)
def test_no_architecture_fails_because_its_step_cannot_be_recorded(kind, monkeypatch):
    monkeypatch.setattr(graph_step, 'why_not', lambda model: '')
    decoding_step.decoding_step(unusual_model(kind), {})


@pytest.mark.skipif(not torch.cuda.is_available(), reason='torch sees no GPU')
def test_a_recorded_step_gives_the_generic_steps_logits():
    model = tiny_model.__wrapped__('qwen3').to('cuda')
    recorded, generic = GraphStep(model, bucket_tokens=64), GenericStep(model)
    target = tiny_target('qwen3')
    engine = Engine(
        type(target)(**{**vars(target), 'model': model, 'device': model.device}),
        DecodingSettings(),
        step=generic,
    )
    logits = []
    for step in (recorded, generic):
        prefilled = engine.prefill(random_prompt(100), 40, NEVER)
        with step.answering(prefilled.cache, 100, 40) as answering:
            tokens = torch.tensor(random_prompt(40, 5), device='cuda')
            logits.append(torch.stack([answering.logits(t).clone() for t in tokens]))
    torch.testing.assert_close(*logits, rtol=1e-3, atol=1e-3)
