import pytest
import torch

from support.tiny_models import (
    ARCHITECTURES,
    NEVER,
    decoded,
    random_prompt,
    stock_model,
    tiny_target,
)
from timebill_ros.inference import engine as engine_module
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.step import native_families
from timebill_ros.inference.step.generic_step import GenericStep

ALL = (*ARCHITECTURES, 'mistral-sliding')


@pytest.mark.parametrize('step', ['transformers', 'native'])
@pytest.mark.parametrize('implementation', ['eager', 'sdpa'])
@pytest.mark.parametrize('chunk_tokens', [512, 16, 7])
@pytest.mark.parametrize('architecture', ALL)
def test_logits_are_those_of_transformers_own_attention(
    monkeypatch, architecture, chunk_tokens, implementation, step
):
    monkeypatch.setattr(engine_module, 'PREFILL_CHUNKS', ((1 << 62, chunk_tokens),))
    prompt = random_prompt(45)
    engine = Engine(tiny_target(architecture), DecodingSettings(stop_at_repetition=False))
    if step == 'transformers':
        engine.step = GenericStep(engine.target.model)
    elif why_not := native_families.why_not(engine.target.model):
        pytest.skip(why_not)
    prefilled = engine.prefill(prompt, 6, NEVER)
    tokens, logits = decoded(engine, prefilled, 6)
    with torch.no_grad():
        output = stock_model(architecture, implementation)(torch.tensor([prompt + tokens[:-1]]))
    expected = output.logits[0, len(prompt) - 1 :]
    assert len(logits) == len(expected) == 6
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
