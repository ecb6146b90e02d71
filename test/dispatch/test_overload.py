"""More is asked than can be answered: how much of what was possible is answered, simulated.

True times spread by 3 % about the predicted ones. Nothing is known of lengths at the start.
"""

import random
from collections.abc import Callable

import pytest

from support.oracle import most_in_any_order
from support.simulated_backend import MODEL, Ask, Simulation, slowness
from timebill_ros.core.outcome import Answer, OverrunPolicy

RESERVE_S = 0.02
SEEDS = range(4)
LEAST = 0.85
POLICIES = (OverrunPolicy.KILL, OverrunPolicy.SKIP_NEXT, OverrunPolicy.PARTIAL)


def steady(rate: float, budget_s: float) -> Callable[[int], list[Ask]]:
    """Return what asks for 20 s at a rate, 1,200 tokens in and 80 out: 1.3 s an answer."""

    def asks(seed: int) -> list[Ask]:
        draw = random.Random(seed)
        return [
            Ask(number / rate, budget_s, slowness=slowness(draw, 0.03))
            for number in range(round(20 * rate))
        ]

    return asks


def random_times(load: int) -> Callable[[int], list[Ask]]:
    """Return what asks for 60 answers' time at a multiple of the capacity, at random times."""

    def asks(seed: int) -> list[Ask]:
        draw, at_s, found = random.Random(seed), 0.0, []
        answer_s = Ask(0.0, 0.0).duration_s
        for _ in range(60 * load):
            at_s += draw.expovariate(load / answer_s)
            budget_s = draw.uniform(1.2, 5.0) * answer_s
            found.append(Ask(at_s, budget_s, slowness=slowness(draw, 0.03)))
        return found

    return asks


def share_of_possible(asks: Callable[[int], list[Ask]], **rules: object) -> float:
    """Return the answers in time, over those that one who knows all times would give."""
    answered = possible = 0
    for seed in SEEDS:
        asked = asks(seed)
        simulation = Simulation(**rules)  # type: ignore[arg-type]
        simulation.play(asked)
        assert len(simulation.outcomes) == len(asked)
        least_share = 0.5 if rules.get('policy') is OverrunPolicy.PARTIAL else 1.0
        answered += simulation.on_time(least_share)
        possible += most_in_any_order(asked, RESERVE_S)
    return answered / possible


@pytest.mark.parametrize(('rate', 'budget_s'), [(2.0, 3.0), (4.0, 4.0)])
@pytest.mark.parametrize('policy', POLICIES)
@pytest.mark.parametrize('queue_order', ['fifo', 'edf'])
@pytest.mark.parametrize('keep_latest', [False, True])
def test_an_asker_that_is_too_fast_gets_most_of_the_answers_that_are_possible(
    rate: float, budget_s: float, policy: OverrunPolicy, queue_order: str, keep_latest: bool
) -> None:
    asks = steady(rate, budget_s)
    share = share_of_possible(
        asks, policy=policy, queue_order=queue_order, keep_latest=keep_latest
    )
    assert share >= LEAST


@pytest.mark.parametrize('load', [1, 2, 5, 10])
@pytest.mark.parametrize('policy', POLICIES)
@pytest.mark.parametrize('queue_order', ['fifo', 'edf'])
def test_at_any_load_most_of_what_is_possible_is_answered(
    load: int, policy: OverrunPolicy, queue_order: str
) -> None:
    asks = random_times(load)
    assert share_of_possible(asks, policy=policy, queue_order=queue_order) >= LEAST


@pytest.mark.parametrize('queue_order', ['fifo', 'edf'])
def test_an_asker_that_waits_for_its_answers_gets_them_all(queue_order: str) -> None:
    simulation = Simulation(queue_order=queue_order)
    simulation.play([Ask(2.0 * number, 1.6, slowness=1.05) for number in range(30)])
    assert all(isinstance(outcome, Answer) for outcome in simulation.outcomes.values())


def test_an_answer_takes_what_the_cases_say() -> None:
    assert Ask(0.0, 0.0).duration_s == pytest.approx(1.27, abs=0.01)
    assert Ask(0.0, 0.0).prefill_s == pytest.approx(MODEL.t_prefill(1200))
