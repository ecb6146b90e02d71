"""The compiled library chooses the token that torch chooses, on every instruction set."""

import copy

import pytest
import torch

from support.tiny_models import tiny_model
from timebill_ros.inference.greedy_choice import chosen_token
from timebill_ros.inference.mean_probability import MeanProbability
from timebill_ros.inference.repetition import RepetitionPenalty
from timebill_ros.inference.step import decoder_library
from timebill_ros.inference.step.generic_step import GenericStep
from timebill_ros.inference.step.native_step import NativeStep

INSTRUCTION_SETS = decoder_library.instruction_sets()


def native_step(vocabulary: int, rank: int = 0) -> NativeStep:
    model = copy.deepcopy(tiny_model('llama'))
    model.lm_head = torch.nn.Linear(model.config.hidden_size, vocabulary, bias=False)
    return NativeStep(model, {}, 1, rank)


@pytest.mark.parametrize('factor', [1.0, 1.3, 0.5])
@pytest.mark.parametrize('vocabulary', [77, 64, 5])
@pytest.mark.parametrize('rank', range(len(INSTRUCTION_SETS)), ids=INSTRUCTION_SETS)
def test_the_token_and_its_probability_are_those_of_torch(
    rank: int, vocabulary: int, factor: float
) -> None:
    steps = GenericStep(tiny_model('llama')), native_step(vocabulary, rank)
    chance = torch.Generator().manual_seed(vocabulary)
    for round_number in range(20):
        logits = 10 * torch.randn(vocabulary, generator=chance) - 5
        seen = logits.topk(min(round_number, vocabulary)).indices
        found = []
        for step in steps:
            probability, given = MeanProbability(), logits.clone()
            token = chosen_token(step, given, RepetitionPenalty(factor, seen), probability)
            found.append((int(token), given, probability.value))
        (expected, penalised, its), (token_id, given, ours) = found
        assert token_id == expected
        assert torch.equal(given, penalised)
        assert ours == pytest.approx(its, rel=1e-5)


def test_of_equals_the_first_is_chosen() -> None:
    logits = torch.zeros(77)
    logits[[40, 3, 76]] = 2.0
    penalty = RepetitionPenalty(1.0, torch.zeros(0, dtype=torch.int64))
    assert int(chosen_token(native_step(77), logits, penalty, MeanProbability())) == 3


def test_logits_that_are_no_numbers_choose_no_token() -> None:
    penalty = RepetitionPenalty(1.0, torch.zeros(0, dtype=torch.int64))
    with pytest.raises(RuntimeError, match='no logit is a number'):
        chosen_token(native_step(77), torch.full((77,), torch.nan), penalty, MeanProbability())


@pytest.mark.parametrize('token', [-1, 77])
def test_a_token_that_the_model_has_not_is_not_penalised_somewhere_else(token: int) -> None:
    penalty = RepetitionPenalty(1.3, torch.tensor([token, 3]))
    with pytest.raises(RuntimeError, match=f'there is no token {token}'):
        chosen_token(native_step(77), torch.zeros(77), penalty, MeanProbability())
