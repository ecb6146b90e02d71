"""Fine-tuning: a tiny backbone learns which word a prompt holds, at whatever length."""

import random

import numpy as np
import torch

from benchmark.predictor.text_classifier import TextClassifier
from timebill_ros.training.fine_tuning import FineTuning, fine_tuned
from timebill_ros.training.length_data import Split


class FakeBackbone(torch.nn.Module):
    """An embedding alone."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(20, 8)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.embedding(ids)
        return states


def test_what_the_prompt_holds_is_learned_whatever_its_length() -> None:
    chance = random.Random(0)
    prompts, classes = [], []
    for _ in range(300):
        kind = chance.randrange(3)
        filler = [chance.randrange(5, 20) for _ in range(chance.randrange(1, 12))]
        prompts.append([*filler, kind])
        classes.append(kind)
    rows = np.arange(300)
    split = Split(rows[:200], rows[200:240], rows[240:])
    labels = torch.nn.functional.one_hot(torch.tensor(classes), 3).float()
    torch.manual_seed(0)
    model = TextClassifier(FakeBackbone(), 8, 3)
    told: list[int] = []
    settings = FineTuning(epochs=6, batch_tokens=128, learning_rate=0.02, head_learning_rate=0.02)
    found = fine_tuned(
        model,
        [model.head, model.normal],
        prompts,
        labels,
        split,
        settings,
        0,
        lambda prompts, _: told.append(prompts),
    )
    right = found.argmax(1) == np.array(classes)
    assert right[split.test].mean() > 0.9
    assert found.shape == (300, 3)
    assert sum(told) == 6 * 200


def test_what_is_new_learns_at_a_rate_of_its_own() -> None:
    rows = np.arange(6)
    split = Split(rows[:4], rows[4:5], rows[5:])
    labels = torch.eye(3)[[0, 1, 2, 0, 1, 2]]
    model = TextClassifier(FakeBackbone(), 8, 3)
    backbone = model.backbone.embedding.weight.clone()
    head = model.head.weight.clone()
    settings = FineTuning(epochs=1, learning_rate=0.0, head_learning_rate=0.1)
    prompts = [[row, row + 1] for row in range(6)]
    fine_tuned(model, [model.head], prompts, labels, split, settings, 0, lambda *_: None)
    assert torch.equal(model.backbone.embedding.weight, backbone)
    assert not torch.equal(model.head.weight, head)


def test_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    model = TextClassifier(FakeBackbone(), 8, 3).eval()
    alone = model(torch.tensor([[7, 8]]), torch.tensor([[1, 1]]))
    padded = model(torch.tensor([[7, 8, 0, 0]]), torch.tensor([[1, 1, 0, 0]]))
    torch.testing.assert_close(alone, padded)
