"""The benchmark of policy closed_loop: its clocks, what an arm makes of an item, and its aims."""

from dataclasses import replace

import numpy as np
import pytest

from benchmark.budgets.branched_items import GROUPS
from benchmark.budgets.closed_loop import (
    DEVELOPMENT_SEED,
    placed_budgets,
    results_file,
    unevicted,
)
from benchmark.budgets.closed_loop_arms import (
    ARMS,
    CLOSED,
    FIXED,
    HINDSIGHT,
    ONCE,
    PLANNED_BY_WORTH,
    RATIOS,
    Answers,
)
from benchmark.budgets.closed_loop_outcome import Outcome, outcome, outcomes
from benchmark.budgets.closed_loop_report import NAMES, SEED, compared
from benchmark.budgets.replay import KILL, PARTIAL
from benchmark.budgets.simulated_clock import SimulatedClock
from benchmark.budgets.tasks.function_calls import SHARES
from benchmark.budgets.tasks.task import Item
from benchmark.budgets.way import WHOLE, Way
from timebill_ros.core import closed_loop
from timebill_ros.core.answer_worth import PRIOR
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.core.time_model import TimeModel
from timebill_ros.inference.loading.model_source import BUILT_IN

MODEL = TimeModel(a=0.0, b=1e-4, c=0.0, p=2e-6, q=0.002, e1=2e-6, e0=0.002, delta=0.2)
PROMPT, LENGTH = 2000, 100
SETTINGS = PlannerSettings(min_kept_tokens=80)


def exact_clock() -> SimulatedClock:
    return SimulatedClock(MODEL, PROMPT, 1.0, np.ones(2 * LENGTH))


def answers(asked: list[Way]) -> Answers:
    """Return an item whose answers all have the same length, and score with it."""

    def decode(way: Way) -> list[str]:
        asked.append(way)
        return ['x'] * LENGTH

    item = Item('t', 'p', LENGTH, lambda text: len(text) / LENGTH)
    return Answers(item, PROMPT, exact_clock(), None, LENGTH, PRIOR, decode)


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
    late_s = MODEL.t_prefill(PROMPT) + MODEL.t_decode(PROMPT, 40) + 1e-9
    whole_s = MODEL.t_e2e(PROMPT, PROMPT, LENGTH) + 1e-9
    late, whole = (
        outcome(ARMS['vanilla'], found, budget_s, 0, SETTINGS, is_partial)
        for budget_s in (late_s, whole_s)
    )
    assert (late.score, late.completion) == (0.4 if is_partial else 0.0, 0.0)
    assert (whole.score, whole.completion) == (1.0, 1.0)


def test_only_arms_that_look_again_evict_in_the_middle() -> None:
    asked: list[Way] = []
    found = answers(asked)
    budget_s = MODEL.t_prefill(PROMPT) + 0.85 * MODEL.t_decode(PROMPT, LENGTH)
    for name, choose in ARMS.items():
        (at, alpha), looks = choose(found, budget_s - MODEL.t_prefill(PROMPT), SETTINGS)
        assert alpha in RATIOS
        assert (looks > 1) == (name in (CLOSED, 'half_on_demand', 'oracle_length'))
        if name in (CLOSED, 'oracle_length'):
            assert at > 0
            assert outcome(choose, answers([]), budget_s, 0, SETTINGS).completion == 1.0
        elif name != 'half_on_demand':
            assert at == 0
    assert set(asked) == {WHOLE}  # only an outcome needs an evicted answer


def test_the_node_chooses_from_what_is_measured() -> None:
    assert (*RATIOS[:-1], PlannerSettings().max_eviction_ratio) == RATIOS
    assert (0.0, *closed_loop.RATIOS) == RATIOS[:-1]


@pytest.mark.parametrize(('share', 'halved'), [(0.4, True), (0.6, False)])
def test_half_is_evicted_when_the_median_length_is_not_in_time(share: float, halved: bool) -> None:
    """Every length is as likely, so that the median is half of the longest."""
    left_s = share * MODEL.t_decode(PROMPT, LENGTH)
    way, _ = ARMS['half_on_demand'](answers([]), left_s, SETTINGS)
    assert (way == (0, 0.5)) == halved
    assert way[1] == 0.5  # the longer it goes on, the later it is likely to end


def test_the_worst_case_is_rounded_up_and_expected_takes_the_largest_product() -> None:
    found = answers([])
    for share in (1.3, 1.1, 0.95, 0.8, 0.6):
        left_s = share * MODEL.t_decode(PROMPT, LENGTH)
        (_, alpha), _ = ARMS['timebill'](found, left_s, SETTINGS)
        kept = int((1.0 - alpha) * PROMPT)
        worst_s = 1.2 * MODEL.t_after_prefill(PROMPT, kept, LENGTH)
        assert worst_s <= left_s or alpha == 0.95
    products = [ARMS['expected'](found, share, SETTINGS)[0][1] for share in (9.0, 0.55, 0.4, 0.3)]
    assert products == sorted(products)
    assert products[0] == 0.0


def test_if_the_text_so_far_counts_arms_that_plan_by_worth_evict_nothing() -> None:
    budget_s = MODEL.t_prefill(PROMPT) + 0.5 * MODEL.t_decode(PROMPT, LENGTH)
    killed, partial = (
        outcomes(answers([]), budget_s, 0, SETTINGS, is_partial) for is_partial in (False, True)
    )
    for name in PLANNED_BY_WORTH:
        assert killed[name].alpha > 0.0
        assert partial[name] == partial['vanilla']
    assert partial['timebill'].alpha == killed['timebill'].alpha > 0.0


def test_hindsight_has_the_best_of_the_fixed_ratios() -> None:
    found = answers([])
    for share in (1.2, 0.9, 0.7):
        budget_s = MODEL.t_prefill(PROMPT) + share * MODEL.t_decode(PROMPT, LENGTH)
        made = outcomes(found, budget_s, 0, SETTINGS)
        assert tuple(made) == NAMES
        assert made[HINDSIGHT].score == max(made[name].score for name in FIXED)
    assert made[ONCE].evict_at == 0


def test_budgets_are_placed_at_shares_of_unevicted_answers_in_time() -> None:
    placed = [answers([])]
    cold, standing = (placed_budgets(placed, regime) for regime in ('cold', 'standing'))
    assert cold == sorted(cold)
    assert all(small < large for small, large in zip(standing, cold, strict=True))
    clocks = [exact_clock().again(number) for number in range(200)]
    late = [
        clock.prefill_s(0) + clock.times_s(LENGTH, 0, PROMPT)[-1] > cold[2] for clock in clocks
    ]
    assert 0.25 < np.mean(late) < 0.55


def test_aims_are_held_against_every_fixed_arm() -> None:
    chance = np.random.default_rng(0)
    base = chance.random(200) * 0.1
    gains = dict.fromkeys(NAMES, 0.0) | {CLOSED: 0.1, 'expected': 0.3}

    def report(gains: dict[str, float]) -> dict:
        found = {
            ('cold', strategy, '1', name): [
                Outcome(float(score) + gains[name], 1.0, 0.5) for score in base
            ]
            for strategy in (KILL, PARTIAL)
            for name in NAMES
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
    assert SEED not in (0, 1, 2, DEVELOPMENT_SEED)
    assert SEED % SHARES != DEVELOPMENT_SEED % SHARES
    assert len(FIXED) == 5


def test_forced_tokens_take_no_time_and_tell_nothing_of_the_pace() -> None:
    """Every second token is forced, so the answer is in time, and nothing is evicted."""
    steps = [0.0, *[0.0, 1.0] * (LENGTH // 2)][:LENGTH]
    free, guided = answers([]), answers([])
    guided.steps[WHOLE] = steps
    budget_s = MODEL.t_prefill(PROMPT) + 0.7 * MODEL.t_decode(PROMPT, LENGTH)
    made = outcomes(guided, budget_s, 0, SETTINGS)
    assert made['vanilla'].completion == 1.0
    assert outcomes(free, budget_s, 0, SETTINGS)['vanilla'].completion == 0.0
    times_s = guided.clock.times_s(LENGTH, 0, PROMPT, steps)
    alone_s = [MODEL.t_step(PROMPT + index - 1) * steps[index] for index in range(1, LENGTH)]
    assert times_s[-1] == pytest.approx(sum(alone_s))
    passes: list[float] = []

    def told(self: object, written: int, decode_s: float, left_s: float, taken: float) -> int:
        passes.append(taken)
        return PROMPT

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(closed_loop.ClosedLoop, 'kept_tokens', told)
        ARMS[CLOSED](guided, budget_s, SETTINGS)
    assert passes[:4] == [0.0, 1.0, 3.0, 5.0]


def test_a_task_counts_if_enough_unevicted_answers_are_right() -> None:
    found = unevicted([answers([])])
    assert found == {'t': {'score': 1.0, 'counts': True}}
    wrong = replace(answers([]), item=Item('t', 'p', LENGTH, lambda text: 0.1))
    assert unevicted([wrong]) == {'t': {'score': 0.1, 'counts': False}}


def test_each_model_and_each_group_of_tasks_has_results_of_its_own() -> None:
    names = [
        results_file(model, tasks)
        for model in (BUILT_IN, '/models/other.gguf')
        for tasks in GROUPS
    ]
    assert names[0] == 'closed_loop.json'
    assert names[3] == 'closed_loop-function_calls-other.json'
    assert len(set(names)) == 4
