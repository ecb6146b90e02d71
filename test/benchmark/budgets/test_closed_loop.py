"""The benchmark of policy closed_loop: its clocks, what an arm makes of an item, and its aims."""

from dataclasses import replace

import numpy as np
import pytest

from benchmark.budgets.closed_loop_arms import ARMS, CLOSED, FIXED, Answers, Outcome, outcome
from benchmark.budgets.closed_loop_report import SEED, compared
from benchmark.budgets.replay import KILL, PARTIAL
from benchmark.budgets.simulated_clock import SimulatedClock
from benchmark.budgets.tasks.task import Item
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.core.time_model import TimeModel

MODEL = TimeModel(a=0.0, b=1e-4, c=0.0, p=2e-6, q=0.002, e1=2e-6, e0=0.002, delta=0.2)
PROMPT, LENGTH = 2000, 100
SETTINGS = PlannerSettings(min_kept_tokens=80)


def exact_clock() -> SimulatedClock:
    return SimulatedClock(MODEL, PROMPT, 1.0, np.ones(2 * LENGTH))


def answers(asked: list[tuple[int, int]]) -> Answers:
    """Return an item of which only an unevicted answer's second half scores."""

    def decode(way: tuple[int, int]) -> list[str]:
        asked.append(way)
        return ['x'] * LENGTH

    item = Item('t', 'p', LENGTH, lambda text: len(text) / LENGTH)
    return Answers(item, PROMPT, exact_clock(), None, LENGTH, decode)


def test_a_clock_without_noise_is_the_time_model() -> None:
    clock = exact_clock()
    assert clock.prefill_s(500) == MODEL.t_prefill(PROMPT, 500)
    for evict_at, kept in ((0, PROMPT), (0, 300)):
        times_s = clock.times_s(LENGTH, evict_at, kept)
        assert times_s[-1] == pytest.approx(MODEL.t_after_prefill(PROMPT, kept, LENGTH))
    midway = clock.times_s(LENGTH, 40, 300)
    assert midway[:40] == pytest.approx(clock.times_s(40, 0, PROMPT))
    rest_s = MODEL.t_decode(300, LENGTH) - MODEL.t_decode(300, 40) + MODEL.t_eviction(PROMPT)
    assert midway[-1] - midway[39] == pytest.approx(rest_s)


def test_clocks_differ_by_their_seed_only() -> None:
    clocks = [SimulatedClock.of(MODEL, PROMPT, 50, seed) for seed in (1, 1, 2)]
    assert clocks[0].prefill_factor == clocks[1].prefill_factor != clocks[2].prefill_factor
    assert (clocks[0].factors == clocks[1].factors).all()
    assert len(set(clocks[0].factors)) == 50


@pytest.mark.parametrize('is_partial', [False, True])
def test_a_late_answer_is_worth_nothing_or_what_is_there(is_partial: bool) -> None:
    found = answers([])
    settings = replace(SETTINGS, is_partial=is_partial)
    late_s = MODEL.t_prefill(PROMPT) + MODEL.t_decode(PROMPT, 40) + 1e-9
    whole_s = MODEL.t_e2e(PROMPT, PROMPT, LENGTH) + 1e-9
    late, whole = (
        outcome(ARMS['vanilla'], found, budget_s, 0, settings) for budget_s in (late_s, whole_s)
    )
    assert (late.score, late.completion) == (0.4 if is_partial else 0.0, 0.0)
    assert (whole.score, whole.completion) == (1.0, 1.0)


def test_only_the_closed_loop_evicts_in_the_middle_and_the_other_arms_once() -> None:
    asked: list[tuple[int, int]] = []
    found = answers(asked)
    budget_s = MODEL.t_prefill(PROMPT) + 0.85 * MODEL.t_decode(PROMPT, LENGTH)
    for name, arm in ARMS.items():
        asked.clear()
        done = outcome(arm, found, budget_s, 0, SETTINGS)
        evicted = [way for way in asked if way[1] < PROMPT]
        if name == CLOSED:
            assert [at for at, _ in evicted] > [0]
            assert done.completion == 1.0
        else:
            assert [at for at, _ in evicted] in ([], [0])


def test_aims_are_held_against_every_fixed_arm() -> None:
    chance = np.random.default_rng(0)
    base = chance.random(200) * 0.1
    gains = dict.fromkeys(ARMS, 0.0) | {CLOSED: 0.1, 'expected': 0.3}

    def report(gains: dict[str, float]) -> dict:
        found = {
            ('cold', strategy, '1', name): [
                Outcome(float(score) + gains[name], 1.0, 0.5) for score in base
            ]
            for strategy in (KILL, PARTIAL)
            for name in ARMS
        }
        return compared(found, 'cold', [1.0])['aims'][KILL]

    assert report(gains) == {
        'no_fixed_arm_above': True,
        'above_every_fixed_arm_at': ['1'],
        'completes_as_alpha_95': True,
    }
    worse = report(gains | {'alpha_50': 0.2})
    assert not worse['no_fixed_arm_above']
    assert worse['above_every_fixed_arm_at'] == []
    assert SEED > 2
    assert len(FIXED) == 5
