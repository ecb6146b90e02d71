"""The penalty against transformers', the stop against its definition."""

import random

import pytest
import torch
from transformers import RepetitionPenaltyLogitsProcessor

from timebill_ros.inference.repetition import RepetitionPenalty, RepetitionStop


@pytest.mark.parametrize('penalty', [1.0, 1.05, 1.3])
def test_penalty_equals_transformers(penalty: float) -> None:
    torch.manual_seed(0)
    prompt = torch.randint(0, 100, (20,))
    ours = RepetitionPenalty(penalty, prompt)
    ids = prompt.tolist()
    for token_id in (3, 3, 77, 99):
        ours.see(token_id, torch.tensor(token_id))
        ids.append(token_id)
        logits = torch.randn(100)
        theirs = RepetitionPenaltyLogitsProcessor(penalty)(
            torch.tensor([ids]), logits[None].clone()
        )
        assert torch.equal(ours.apply(logits.clone()), theirs[0])


def steps_until_stop(tokens: list[int]) -> int | None:
    stop = RepetitionStop()
    return next((count for count, token in enumerate(tokens, 1) if stop.add(token)), None)


@pytest.mark.parametrize('period', [1, 2, 7, 8, 9, 33, 64])
def test_stops_at_four_times_a_block_of_at_least_32_tokens(period: int) -> None:
    lead = list(range(1000, 1010))
    tokens = lead + list(range(period)) * 40
    assert steps_until_stop(tokens) == len(lead) + max(4 * period, 32)


def test_does_not_stop_at_a_longer_period_or_a_broken_one() -> None:
    assert steps_until_stop(list(range(65)) * 8) is None
    chance = random.Random(1)
    assert steps_until_stop([chance.randrange(50) for _ in range(5000)]) is None
    three_times = [*range(20)] * 3 + [99]
    assert steps_until_stop(three_times * 3) is None


def test_equal_digits_and_rulers_are_no_loop() -> None:
    assert steps_until_stop([7] * 31 + [1]) is None
    assert steps_until_stop([4, 5] * 15 + [6]) is None
