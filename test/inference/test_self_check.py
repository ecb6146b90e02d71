"""Every model is served right, served without eviction, or refused by a sentence."""

import json
from dataclasses import replace

import pytest
import torch

from support.tiny_models import (
    ARCHITECTURES,
    NEVER,
    random_prompt,
    stock_model,
    target_of,
    tiny_target,
)
from support.unusual_models import UNUSUAL, unusual_model, unusual_target
from timebill_ros.inference import attention
from timebill_ros.inference import checked_engine as module
from timebill_ros.inference import engine as engine_module
from timebill_ros.inference.checked_engine import checked_engine
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.reference_attention import eager_attention, use_attention
from timebill_ros.inference.self_check import self_check
from timebill_ros.inference.step.generic_step import GenericStep

REFUSED = {
    'lfm2': "Lfm2ForCausalLM has layers of the kind 'conv', which keep a state",
    'qwen3_5': "Qwen3_5ForCausalLM has layers of the kind 'linear_attention', which keep a state",
    'mamba': 'MambaForCausalLM has layers of the kind',
    'rwkv': 'RwkvForCausalLM computes what this engine does not: after 5 tokens the logits differ',
    'roberta': 'RobertaForCausalLM computes what this engine does not: after 5 tokens',
}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))


def checked(target) -> Engine:
    return checked_engine(Engine(target, DecodingSettings(stop_at_repetition=False)))


@pytest.mark.parametrize('kind', [kind for kind in UNUSUAL if kind not in REFUSED])
@pytest.mark.parametrize('prompt_tokens', [1, 16, 40])
def test_unusual_models_are_served_as_generate_writes(monkeypatch, kind, prompt_tokens) -> None:
    monkeypatch.setattr(engine_module, 'PREFILL_CHUNKS', ((1 << 62, 16),))
    engine = checked(unusual_target(kind))
    assert not engine.target.evicts
    assert engine.min_kept_tokens == engine.target.context_length
    ids = random_prompt(prompt_tokens)
    ours = [token for token, _ in engine.decode(engine.prefill(ids, 12, NEVER), 12, NEVER)]
    reference = unusual_model(kind)
    reference.generation_config.eos_token_id = None
    theirs = reference.generate(
        torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids)),
        do_sample=False,
        max_new_tokens=12,
    )
    assert ours == theirs[0, len(ids) :].tolist()


@pytest.mark.parametrize('kind', REFUSED)
def test_what_is_not_computed_is_refused_by_a_sentence(kind) -> None:
    with pytest.raises(ValueError, match=f"model '{kind}' cannot be served: its class ") as raised:
        checked(unusual_target(kind))
    assert REFUSED[kind] in str(raised.value)
    assert '\n' not in str(raised.value)


@pytest.mark.parametrize('architecture', ARCHITECTURES)
def test_usual_models_are_served_with_eviction_and_the_fastest_step(architecture) -> None:
    engine = Engine(tiny_target(architecture), DecodingSettings())
    verdict = self_check(engine)
    assert (verdict.attention, verdict.step) == (attention.NAME, engine.step.name)
    assert verdict.evicts and not verdict.reason


def test_a_step_that_is_wrong_is_not_used(monkeypatch, caplog) -> None:
    class WrongStep(GenericStep):
        name = 'wrong'

        def logits(self, token: torch.Tensor) -> torch.Tensor:
            return super().logits(token).roll(1)

    target = tiny_target('llama')
    step = WrongStep(target.model)
    # Not a GenericStep for those who look.
    monkeypatch.setattr('timebill_ros.inference.self_check.GenericStep', _Generic)
    monkeypatch.setattr(module, 'GenericStep', _Generic)
    engine = checked_engine(Engine(target, DecodingSettings(), step=step))
    assert engine.step.name == 'transformers'
    assert engine.target.evicts
    assert 'is served by a slower step' in caplog.text


class _Generic(GenericStep):
    pass


def test_an_attention_that_forgets_is_not_used(monkeypatch) -> None:
    later = attention._later_chunk

    def forgetful(query, key, value, scaling):
        return later(query, key[:, :, 4:], value[:, :, 4:], scaling)

    monkeypatch.setattr(attention, '_later_chunk', forgetful)
    engine = checked(tiny_target('gemma3'))
    try:
        assert engine.target.model.config._attn_implementation == 'eager'
        assert not engine.target.evicts
    finally:
        use_attention(engine.target.model, attention.NAME)


@pytest.mark.parametrize('architecture', ['llama', 'gemma3'])  # compiled, and torch's
def test_an_eviction_that_is_wrong_is_not_made(monkeypatch, caplog, architecture) -> None:
    evict = Engine.evict

    def evict_wrongly(self, prefilled, kept_tokens):
        stays = evict(self, prefilled, kept_tokens)
        for layer in stays:
            keys = prefilled.cache.layers[layer].keys
            keys.copy_(keys.flip(1).clone())
        return stays

    monkeypatch.setattr(Engine, 'evict', evict_wrongly)
    engine = checked(tiny_target(architecture))
    assert not engine.target.evicts
    assert 'is served without eviction' in caplog.text


def test_the_verdict_is_kept_and_depends_on_weights_and_step(monkeypatch) -> None:
    calls = []

    def counted(engine):
        calls.append(engine)
        return self_check(engine)

    monkeypatch.setattr(module, 'self_check', counted)
    target = tiny_target('qwen3')
    checked(target)
    checked(target)
    assert len(calls) == 1
    checked(replace(target, weights_hash='others'))
    checked_engine(Engine(target, DecodingSettings(), step=GenericStep(target.model)))
    assert len(calls) == 3


@pytest.mark.parametrize(
    'error',
    [
        MemoryError(),
        torch.OutOfMemoryError('CUDA out of memory'),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_want_of_memory_is_no_verdict_on_the_model(tmp_path, error) -> None:
    class StarvedStep(GenericStep):
        name = 'starved'

        def logits(self, token: torch.Tensor) -> torch.Tensor:
            raise error

    target = tiny_target('llama')
    with pytest.raises(type(error)):
        checked_engine(Engine(target, DecodingSettings(), step=StarvedStep(target.model)))
    assert not list(tmp_path.rglob('check-*'))


def test_where_float16_overflows_the_dtype_is_named() -> None:
    model = stock_model('llama', attention.NAME)
    model.lm_head.weight.data.fill_(6e4)
    target = replace(target_of('hot', model.half()), dtype=torch.float16)
    with pytest.raises(ValueError, match=r'no numbers in float16.*: set dtype to') as raised:
        checked(target)
    assert 'damaged' not in str(raised.value)


def test_a_refusal_is_not_kept(tmp_path) -> None:
    with pytest.raises(ValueError):
        checked(unusual_target('rwkv'))
    assert not list(tmp_path.rglob('check-*'))


def test_a_damaged_verdict_is_found_anew(tmp_path) -> None:
    checked(tiny_target('llama'))
    path = next(tmp_path.rglob('check-*.json'))
    path.write_text('{"attention": ')
    assert checked(tiny_target('llama')).target.evicts
    assert json.loads(path.read_text())['attention'] == attention.NAME


def test_stock_model_is_what_the_check_compares_with() -> None:
    """The reference is transformers' own: the same logits as a model of eager attention."""
    ids = torch.tensor([random_prompt(30)])
    target = tiny_target('gemma3')
    with eager_attention(target.model, {}), torch.no_grad():
        ours = target.model(ids, use_cache=False).logits
    with torch.no_grad():
        theirs = stock_model('gemma3')(ids, use_cache=False).logits
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert target.model.config._attn_implementation == attention.NAME
