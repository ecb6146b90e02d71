"""The mean is that of the model's own probabilities, whatever is done to its logits afterwards."""

import pytest
import torch

from timebill_ros.inference.mean_probability import MeanProbability


def test_the_mean_is_geometric_and_of_the_logits_as_they_were() -> None:
    found = MeanProbability()
    assert found.value == 0.0
    for chances, token in (((0.5, 0.25, 0.25), 1), ((0.1, 0.1, 0.8), torch.tensor(0))):
        logits = torch.tensor(chances).log() + 7.0
        found.see(logits)
        logits.zero_()  # as the repetition penalty and the next step do
        found.chose(token)
    assert found.value == pytest.approx((0.25 * 0.1) ** 0.5)
    found.add(torch.tensor(0.025 * 0.5).log().item(), 2)
    assert found.value == pytest.approx((0.25 * 0.1 * 0.025 * 0.5) ** 0.25)
