import pytest
import torch

from timebill_ros.inference import engine as engine_module
from timebill_ros.inference.engine import DecodingSettings, Engine
from tiny_models import ARCHITECTURES, NEVER, random_prompt, stock_model, tiny_target

ALL = (*ARCHITECTURES, 'mistral-sliding')


@pytest.mark.parametrize('implementation', ['eager', 'sdpa'])
@pytest.mark.parametrize('chunk_tokens', [512, 16, 7])
@pytest.mark.parametrize('architecture', ALL)
def test_logits_are_those_of_transformers_own_attention(
    monkeypatch, architecture, chunk_tokens, implementation
):
    monkeypatch.setattr(engine_module, 'PREFILL_CHUNK_TOKENS', chunk_tokens)
    prompt = random_prompt(45)
    engine = Engine(tiny_target(architecture), DecodingSettings(stop_at_repetition=False))
    prefilled = engine.prefill(prompt, 6, NEVER)
    seen, forward = [prefilled.logits.clone()], engine._forward

    def spy(*args):
        seen.append(forward(*args))
        return seen[-1]

    engine._forward = spy
    tokens = [token for token, _ in engine.decode(prefilled, 6, NEVER)]
    with torch.no_grad():
        output = stock_model(architecture, implementation)(torch.tensor([prompt + tokens[:-1]]))
    expected = output.logits[0, len(prompt) - 1 :]
    assert len(seen) == len(expected) == 6
    torch.testing.assert_close(torch.stack(seen), expected, rtol=1e-4, atol=1e-4)
