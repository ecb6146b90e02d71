"""What wrong guesses may cost."""

import random

import pytest

from timebill_ros.core.speculation import (
    CREDIT_STEPS,
    MOST_STEPS,
    REFILL_STEPS,
    SpeculationCredit,
    most_lost_steps,
)


def lost_steps(is_right, tokens, costs):
    """Return how much longer an answer takes than without guesses, which are right if it says."""
    credit, lost, written = SpeculationCredit(), 0.0, 0
    while written < tokens:
        credit.wrote()
        written += 1
        guesses = [cost for cost in costs if credit.has(cost)]
        if not guesses:
            continue
        credit.pay(guesses[-1])
        lost += guesses[-1]
        for _ in guesses:
            if not is_right():
                break
            credit.saved()
            credit.wrote()
            lost -= 1.0
            written += 1
    return lost


@pytest.mark.parametrize('costs', [(0.3, 0.5, 0.8), (0.05, 0.1, 0.15), (0.9, 1.9, 2.9)])
@pytest.mark.parametrize('tokens', [1, 10, 300])
@pytest.mark.parametrize('share', [0.0, 0.1, 0.3, 1.0])
def test_no_answer_loses_more_than_its_bound(costs, tokens, share):
    chance = random.Random(1)
    for _ in range(20):
        lost = lost_steps(lambda: chance.random() < share, tokens, costs)
        assert lost <= most_lost_steps(tokens) + 1e-9


def test_wrong_guesses_use_up_the_credit_and_right_ones_are_gains():
    costs = (0.3, 0.5, 0.8)
    assert lost_steps(lambda: False, 300, costs) > CREDIT_STEPS + 0.5 * REFILL_STEPS * 300
    assert lost_steps(lambda: True, 300, costs) < -100


def test_few_gains_are_kept_to_be_lost_later():
    credit = SpeculationCredit()
    for _ in range(100):
        credit.saved()
    assert credit.has(MOST_STEPS)
    assert not credit.has(MOST_STEPS + 0.01)


def test_an_answer_begins_with_less_than_it_may_save():
    credit = SpeculationCredit()
    assert credit.has(CREDIT_STEPS)
    assert not credit.has(CREDIT_STEPS + 0.01)
