"""How well one run tells another's lengths."""

import math

import pytest

from timebill_ros.training.length_agreement import length_agreement
from timebill_ros.training.length_file import LengthRecord
from timebill_ros.training.prompt import Kind


def run(**lengths: int) -> list[LengthRecord]:
    return [
        LengthRecord(name, 'a', Kind.OPEN_ENDED, 10, tokens, 'EOS', 0.1, 0.2)
        for name, tokens in lengths.items()
    ]


def test_equal_runs_agree_wholly() -> None:
    agreement = length_agreement(run(a=1, b=5, c=9), run(c=9, a=1, b=5))
    assert (agreement.errors.n, agreement.errors.r2, agreement.errors.mae) == (3, 1.0, 0.0)
    assert agreement.identical == 1.0


def test_a_run_that_gives_the_mean_explains_nothing() -> None:
    agreement = length_agreement(run(a=10, b=20, c=30), run(a=20, b=20, c=20))
    assert agreement.errors.r2 == pytest.approx(0.0)
    assert agreement.errors.mae == pytest.approx(20 / 3)
    assert agreement.identical == pytest.approx(1 / 3)


def test_only_prompts_of_both_runs_count() -> None:
    agreement = length_agreement(run(a=10, b=20, c=99), run(a=10, b=24, d=1))
    assert (agreement.errors.n, agreement.errors.mae) == (2, 2.0)
    assert agreement.errors.r2 == pytest.approx(1 - 16 / 50)


def test_without_spread_there_is_no_r2() -> None:
    assert math.isnan(length_agreement(run(a=10, b=10), run(a=10, b=12)).errors.r2)


def test_runs_without_a_common_prompt_are_refused() -> None:
    with pytest.raises(ValueError, match='no prompt in common'):
        length_agreement(run(a=1), run(b=1))


def test_what_two_runs_share_is_told_apart_from_how_far_they_are() -> None:
    agreement = length_agreement(run(a=10, b=20, c=30), run(a=110, b=120, c=130))
    assert agreement.correlation == pytest.approx(1.0)
    assert agreement.errors.r2 < 0.0
    assert math.isnan(length_agreement(run(a=10, b=20), run(a=5, b=5)).correlation)
