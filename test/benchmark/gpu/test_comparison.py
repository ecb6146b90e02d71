"""When answers of two devices count as equal."""

import pytest
import torch

from benchmark.gpu.comparison import Outcome, compared

RIGHT = torch.tensor([[4.0, 1.0, 0.0, -5.0], [0.0, 3.0, 2.9995, -4.0], [0.0, 1.0, 2.0, -2.0]])
FP32, BF16 = torch.float32, torch.bfloat16


def outcome(tokens: list[int], change: float = 0.0, at: int = 0) -> Outcome:
    logits = RIGHT.clone()
    logits[at, 0] += change
    return Outcome(tokens, logits[: len(tokens)])


def test_equal_answers_agree() -> None:
    found = compared([outcome([0, 1, 2])], [outcome([0, 1, 2])], FP32)
    assert (found.agrees, found.error, found.positions, found.detail) == (True, 0.0, 3, '')


@pytest.mark.parametrize(('change', 'agrees'), [(1e-3, True), (0.1, False), (float('nan'), False)])
def test_logits_may_differ_by_rounding_only(change: float, agrees: bool) -> None:
    found = compared([outcome([0, 1, 2], change, at=2)], [outcome([0, 1, 2])], FP32)
    assert found.agrees is agrees
    assert bool(found.detail) is not agrees


def test_one_position_may_be_far_off_in_16_bits() -> None:
    ours, theirs = [outcome([0, 1, 2], 3.0)], [outcome([0, 1, 2])]
    assert compared(ours, theirs, BF16).agrees
    assert not compared(ours, theirs, FP32).agrees


def test_another_token_is_wrong_unless_both_are_as_good() -> None:
    tie = compared([outcome([0, 2, 3])], [outcome([0, 1, 2])], FP32)
    assert (tie.agrees, tie.positions) == (True, 2)  # what follows cannot be compared
    wrong = compared([outcome([1, 1, 2])], [outcome([0, 1, 2])], FP32)
    assert not wrong.agrees
    assert wrong.detail == 'answer 1: token 0 is 1, not 0'


def test_answers_of_another_length_or_number_are_wrong() -> None:
    assert compared([outcome([0])], [outcome([0, 1])], FP32).detail == 'answer 1: 1 tokens, not 2'
    assert compared([], [outcome([0])], FP32).detail == '0 answers, not 1'
