"""A new head starts from what is common, with a bias and without."""

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
)

from timebill_ros.training.classifier_start import last_linear, start_layer

SHARED = {
    'vocab_size': 50,
    'hidden_size': 32,
    'intermediate_size': 16,
    'num_hidden_layers': 1,
    'num_attention_heads': 2,
    'num_labels': 40,
    'pad_token_id': 0,
}
MODELS = {
    'without a bias': lambda: LlamaForSequenceClassification(LlamaConfig(**SHARED)),
    'with a bias': lambda: BertForSequenceClassification(BertConfig(**SHARED)),
}


@pytest.mark.parametrize('name', MODELS)
def test_every_prompt_starts_from_what_is_common(name: str) -> None:
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    common = torch.zeros(40)
    common[3] = 0.7
    common[5] = 0.3
    prompts = [torch.randint(1, 50, (length,)) for length in (2, 5, 9, 30)]
    start_layer(model, last_linear(model, 40), (common + 1e-6).log(), prompts)
    with torch.inference_mode():
        for ids in prompts:
            found = model(input_ids=ids[None]).logits.softmax(-1)[0]
            assert found[3] > found[5] > 0.1
            assert found[3] + found[5] > 0.99


def test_the_last_layer_is_found_behind_one_that_has_as_many_outputs() -> None:
    model = LlamaForSequenceClassification(LlamaConfig(**(SHARED | {'num_labels': 32})))
    assert last_linear(model, 32) is model.score
