"""What recorded answers are worth under a budget."""

import dataclasses

import pytest

from benchmark.budgets.alpha_grid import GRID, kept_tokens, rounded_up
from benchmark.budgets.arms import (
    EXPECTED,
    Planning,
    all_arms,
    expected,
    fixed,
    oracle_length,
    oracle_score,
    oracle_time,
    timebill,
)
from benchmark.budgets.replay import KILL, PARTIAL, SKIP_NEXT, replay
from benchmark.report.bootstrap import paired_difference
from support.recorded_answers import answer, item
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.core.time_model import TimeModel

WHOLE = item(answer(0.0, 'a b'))  # 1.2 s
PLANNING = Planning(
    # A step takes 10 ms at 1,000 tokens, and next to nothing without any.
    TimeModel(a=0, b=0.001, c=0, p=1e-5, q=1e-6),
    PlannerSettings(eviction_policy='timebill', min_kept_tokens=1, pessimistic_factor=2.0),
)


def test_a_late_answer_is_killed_and_worth_nothing() -> None:
    in_time, late = (
        replay([WHOLE], fixed(0.0), budget_s, KILL, seed=0)[0] for budget_s in (1.3, 1.1)
    )
    assert (in_time.score, in_time.fidelity, in_time.completion) == (1.0, 1.0, 1.0)
    assert (late.score, late.fidelity, late.completion, late.late_score) == (0.0, 0.0, 0.0, 0.0)


def test_a_partial_answer_is_graded_as_delivered_but_is_not_complete() -> None:
    (found,) = replay([WHOLE], fixed(0.0), 1.15, PARTIAL, seed=0)
    assert (found.score, found.completion) == (0.5, 0.0)
    assert 0.0 < found.fidelity < 1.0
    (nothing,) = replay([WHOLE], fixed(0.0), 0.9, PARTIAL, seed=0)
    assert (nothing.score, nothing.completion) == (0.0, 0.0)


def test_eviction_takes_its_time_before_the_first_token() -> None:
    evicted = item(answer(0.0, 'a b'), answer(0.5, 'a b'))
    (found,) = replay([evicted], fixed(0.5), 1.35, PARTIAL, seed=0)
    assert found.score == 0.5


def test_what_comes_while_a_late_answer_runs_is_skipped() -> None:
    slow = item(answer(0.0, 'a b', tokens=5))  # 1.5 s: the next two of three arrivals are late
    quick = item(answer(0.0, 'a b', prefill_s=0.1))
    items = [slow, *[quick] * 3]
    found = replay(items, fixed(0.0), 0.6, SKIP_NEXT, seed=0)
    assert (found[0].score, found[0].completion) == (0.0, 0.0)
    assert found[0].late_score == 1.0
    # The slow one is killed, and nothing is lost by it, under the other strategy.
    assert [one.score for one in replay(items, fixed(0.0), 0.6, KILL, 0)] == [0, 1, 1, 1]
    assert 0.0 < sum(one.score for one in found[1:]) < 3.0


def test_nothing_is_skipped_while_all_are_in_time() -> None:
    found = replay([WHOLE] * 5, fixed(0.0), 1.2000001, SKIP_NEXT, seed=0)
    assert [one.completion for one in found] == [1.0] * 5


def test_a_planned_ratio_is_rounded_up_to_the_grid() -> None:
    kept = range(1001, 49, -1)
    ratios = [rounded_up(tokens, 1001, 1) for tokens in kept]
    assert set(ratios) == set(GRID)
    for tokens, ratio in zip(kept, ratios, strict=True):
        assert kept_tokens(1001, ratio, 1) <= tokens
        if ratio > 0.0:
            assert kept_tokens(1001, ratio - 0.05, 1) > tokens


def test_a_floor_on_kept_tokens_does_not_push_a_ratio_off_the_grid() -> None:
    assert rounded_up(80, 512, 80) == 0.85
    assert rounded_up(80, 60, 80) == 0.0


def test_timebill_evicts_only_as_much_as_its_budget_needs() -> None:
    # k * N_hat = 100 tokens: 1 s of steps at alpha 0.
    plenty, some, little = (timebill(PLANNING)(WHOLE, budget_s) for budget_s in (2.1, 1.6, 1.01))
    assert plenty == 0.0
    assert 0.4 <= some <= 0.5
    assert little == 0.95


def test_policy_expected_takes_its_chance_and_evicts_nothing_where_no_text_is_lost() -> None:
    unsure = dataclasses.replace(
        PLANNING, time_model=dataclasses.replace(PLANNING.time_model, delta=1.0)
    )
    assert timebill(unsure)(WHOLE, 1.6) > expected(unsure)(WHOLE, 1.6) > 0.0
    assert expected(unsure, is_partial=True)(WHOLE, 1.6) == 0.0
    arms = all_arms(unsure), all_arms(unsure, is_partial=True)
    assert [by[EXPECTED](WHOLE, 1.6) > 0.0 for by in arms] == [True, False]


def test_who_knows_the_length_evicts_less() -> None:
    short = item(answer(0.0, 'a b', tokens=20))
    assert oracle_length(PLANNING)(short, 1.25) == 0.0
    assert timebill(PLANNING)(short, 1.25) > 0.5


def test_who_knows_the_times_takes_the_smallest_ratio_that_fits() -> None:
    found = item(
        answer(0.0, 'a b', tokens=30), answer(0.5, 'a', tokens=10), answer(0.75, 'a b', tokens=5)
    )
    assert oracle_time(found, 9.0) == 0.0
    assert oracle_time(found, 2.5) == 0.5
    assert oracle_time(found, 0.5) == 0.75  # nothing fits: the quickest
    assert oracle_score(found, 2.5) == 0.75
    assert oracle_score(found, 9.0) == 0.0


def test_an_interval_lies_around_a_difference_that_is_there_and_over_none() -> None:
    ours = [0.5, 0.7, 0.9, 0.4] * 10
    above = paired_difference([value + 0.1 for value in ours], ours, seed=0)
    assert above['mean'] == pytest.approx(0.1)
    assert above['interval'] == pytest.approx([0.1, 0.1])
    low, high = paired_difference(ours, ours[::-1], seed=0)['interval']
    assert low < 0.0 < high


def test_an_item_is_planned_with_the_model_of_its_time() -> None:
    slow = dataclasses.replace(PLANNING, followed={'item': PLANNING.time_model.scaled(1.5)})
    assert timebill(PLANNING)(WHOLE, 2.1) == 0.0
    assert timebill(slow)(WHOLE, 2.1) > 0.0
    margin = dataclasses.replace(PLANNING.time_model.scaled(1.5), delta=9.0)
    wide = dataclasses.replace(PLANNING, followed={'item': margin})
    assert timebill(wide.without_margin())(WHOLE, 2.1) == timebill(slow)(WHOLE, 2.1)


def test_a_four_bit_rival_is_graded_beside_the_targets_own_answer() -> None:
    assert WHOLE.by_four_bit() is None
    rival = dataclasses.replace(WHOLE, four_bit=answer(0.0, 'a c', prefill_s=0.5)).by_four_bit()
    assert rival is not None
    (found,) = replay([rival], fixed(0.0), 0.8, KILL, seed=0)
    assert (found.score, found.completion) == (0.5, 1.0)
    assert found.fidelity == pytest.approx(0.5)  # to 'a b'
