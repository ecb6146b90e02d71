"""What is concluded from replayed answers."""

import dataclasses

import pytest

from benchmark.budgets.arms import EXPECTED, FIXED, TIMEBILL, VANILLA, Planning
from benchmark.budgets.claim import claimed, placed_budgets, task_statistics
from benchmark.budgets.diagnosis import diagnosis, length_ratios, leverage
from benchmark.budgets.recorded_item import RecordedItem
from benchmark.budgets.report import aims
from support.recorded_answers import answer, item
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.core.time_model import TimeModel

ALPHAS = (0.0, *FIXED.values())
PLANNING = Planning(
    TimeModel(a=0, b=0.001, c=0, p=1e-5, q=1e-6),
    PlannerSettings(eviction_policy='timebill', min_kept_tokens=1),
)


def answered(
    text: str, values: tuple[str, ...], tokens: int = 0, prefill_s: float = 0.1, task: str = 'task'
) -> RecordedItem:
    """An item that is answered in the same way at every ratio."""
    found = item(
        *(answer(alpha, text, tokens=tokens, prefill_s=prefill_s) for alpha in ALPHAS),
        values=values,
    )
    return dataclasses.replace(found, task=task)


RIGHT = [answered(f'v{number} w', (f'v{number}',)) for number in range(6)]
GUESSED = [answered('yes no', ('yes',), task='guess') for _ in range(6)]
SLOW_PREFILL = [
    answered(f'v{number} w', (f'v{number}',), prefill_s=9.0, task='slow') for number in range(6)
]
WRONG = [answered('nothing right', (f'v{number}',), task='wrong') for number in range(6)]


def test_a_claim_rests_on_what_is_right_above_chance_and_takes_time_to_decode() -> None:
    assert task_statistics(RIGHT)['counts_for_the_claim']
    assert task_statistics(RIGHT)['chance'] == 0.0
    assert task_statistics(GUESSED)['chance'] == 1.0
    for group in (GUESSED, SLOW_PREFILL, WRONG):
        assert not task_statistics(group)['counts_for_the_claim']
    assert claimed([*RIGHT, *GUESSED, *SLOW_PREFILL, *WRONG]) == RIGHT


def test_budgets_go_from_where_a_fifth_is_in_time_to_where_nearly_all_is() -> None:
    items = [answered('a', ('a',), tokens=number) for number in range(1, 101)]
    budgets_s = placed_budgets(items)
    assert len(budgets_s) == 6
    shares = [sum(one.total_s(0.0) <= budget_s for one in items) for budget_s in budgets_s]
    assert shares[0] == pytest.approx(20, abs=1)
    assert shares[-1] == pytest.approx(95, abs=1)
    assert shares == sorted(shares)


def test_an_arm_counts_as_better_only_when_its_interval_is_above_timebills() -> None:
    def arm(difference: float, spread: float, completion: float) -> dict[str, object]:
        interval = [difference - spread, difference + spread]
        return {
            'less_timebill': {'mean': difference, 'interval': interval},
            'less_expected': {'mean': 1.0, 'interval': [1.0, 1.0]},
            'completion': completion,
        }

    arms = {name: arm(-0.1, 0.05, 0.9) for name in (VANILLA, *FIXED)}
    arms[TIMEBILL] = arm(0.0, 0.0, 0.89)
    holds = aims({'kill': {'1': arms}}, TIMEBILL)['kill']
    assert holds['never_below_a_fixed_arm']
    assert holds['above_each_fixed_arm_somewhere']
    assert holds['completes_as_often_as_alpha_95']
    arms[EXPECTED] = arm(0.0, 0.0, 0.5)
    other = aims({'kill': {'1': arms}}, EXPECTED)['kill']
    assert len(other['below']) == len(other['never_above']) == 5
    assert other['completes_less_often'] == ['1 s']
    unsure = {**arms, VANILLA: arm(0.04, 0.05, 0.9)}
    assert aims({'kill': {'1': unsure}}, TIMEBILL)['kill']['never_below_a_fixed_arm']
    better = {**arms, VANILLA: arm(0.06, 0.05, 0.9), 'alpha_95': arm(-0.1, 0.05, 0.95)}
    fails = aims({'kill': {'1': better}}, TIMEBILL)['kill']
    assert fails['below'] == [f'{VANILLA} at 1 s']
    assert fails['never_above'] == [VANILLA]
    assert fails['completes_less_often'] == ['1 s']


def test_the_diagnosis_tells_what_was_covered_and_what_eviction_saves() -> None:
    # N_hat is 50 and k 5, so that 100 tokens, N_max, are covered.
    found = diagnosis([*RIGHT, *SLOW_PREFILL], [5.0], PLANNING)['5']
    assert found['prefilled_in_time'] == 0.5
    assert found['length_covered'] == 1.0
    assert length_ratios(RIGHT)['0.5'] == {'median': 1.0, 'mean': 1.0, 'grew': 0.0}
    saved = leverage(RIGHT, PLANNING)
    assert saved['of_a_step_measured'] == pytest.approx(0.0)
    assert saved['of_the_whole_measured'] < 0.0  # evicting took longer
