"""Choices are scored as transformers scores each of them alone, and the step is left as it was."""

import pytest
import torch

from support.tiny_models import NEVER, random_prompt, stock_model, tiny_model, tiny_target
from timebill_ros.inference.constraint.choices import Choices
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.step.generic_step import GenericStep

IDS = {'a': [5, 6, 7], 'b': [5, 6], 'c': [9], 'd': [5, 8, 11, 12]}
STOPS = [1, 2]


@pytest.mark.parametrize('architecture', ['llama', 'qwen2', 'qwen3', 'gemma3', 'mistral-sliding'])
@pytest.mark.parametrize('is_generic', [False, True])
def test_log_likelihoods_are_those_of_transformers(architecture: str, is_generic: bool) -> None:
    step = GenericStep(tiny_model(architecture)) if is_generic else None
    engine = Engine(tiny_target(architecture), DecodingSettings(), step=step)
    prompt, choices = random_prompt(30), Choices(tuple(IDS), IDS.__getitem__)
    assert (choices.passes, choices.longest) == (7, 5)
    prefilled = engine.prefill(prompt, choices.longest, NEVER)
    with engine.step.answering(prefilled.cache, len(prompt), choices.longest) as step_:
        found = choices.log_likelihoods(prefilled.logits, STOPS, step_, NEVER)
        again = choices.log_likelihoods(prefilled.logits, STOPS, step_, NEVER)
    model = stock_model(architecture)
    for ids, ours, second in zip(IDS.values(), found, again, strict=True):
        with torch.inference_mode():
            logits = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 :]
        likely = logits.log_softmax(-1)
        tokens = sum(float(likely[place, token]) for place, token in enumerate(ids))
        expected = tokens + float(likely[len(ids), STOPS].logsumexp(0))
        assert ours == pytest.approx(expected, abs=1e-3)
        assert second == pytest.approx(ours, abs=1e-6)
