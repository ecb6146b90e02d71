"""Which models' prompts can share what was read."""

import pytest
from transformers import Gemma3TextConfig, LlamaConfig

from timebill_ros.inference.prefix.reusable import why_not_reused


def rope(kind: str) -> dict[str, object]:
    return {'rope_type': kind, 'factor': 2.0, 'rope_theta': 1e4}


@pytest.mark.parametrize('kind', ['default', 'linear'])
def test_keys_that_depend_on_their_place_only_are_shared(kind: str) -> None:
    assert why_not_reused(LlamaConfig(rope_parameters=rope(kind))) == ''
    assert why_not_reused(Gemma3TextConfig()) == ''


def test_keys_that_depend_on_the_prompts_length_are_not() -> None:
    sentence = why_not_reused(LlamaConfig(rope_parameters=rope('dynamic')))
    assert sentence == "the model's rotary embedding ('dynamic') depends on the prompt's length"
    by_layer = {'full_attention': rope('dynamic'), 'sliding_attention': rope('default')}
    assert "'dynamic'" in why_not_reused(Gemma3TextConfig(rope_parameters=by_layer))
