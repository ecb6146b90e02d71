"""How many guesses pay, and what wrong ones may cost."""

import random

import pytest

from timebill_ros.core.speculation import (
    CREDIT_STEPS,
    MOST_STEPS,
    REFILL_STEPS,
    GuessRates,
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


CHEAP, DEAR = (0.1, 0.2, 0.3), (0.6, 0.9, 1.2)


def test_of_an_unknown_answer_cheap_guesses_pay_and_dear_ones_do_not():
    assert GuessRates().worth(3, CHEAP) == 3  # 0.5 + 0.25 + 0.125 saved
    assert GuessRates().worth(3, DEAR) == 0
    assert GuessRates().worth(3, ()) == 0


def test_right_guesses_are_followed_by_more_and_wrong_ones_by_none():
    rates = GuessRates()
    for _ in range(20):
        for depth in range(3):
            rates.count(3, depth, is_right=True)
    assert rates.worth(3, DEAR) == 3
    assert rates.worth(2, DEAR) == 0  # of shorter matches nothing is known yet
    for _ in range(20):
        rates.count(3, 0, is_right=False)
    assert rates.worth(3, DEAR) == 0


def test_a_guess_that_is_wrong_behind_right_ones_is_left_out():
    rates = GuessRates()
    for _ in range(20):
        rates.count(2, 0, is_right=True)
        rates.count(2, 1, is_right=False)
    assert rates.worth(2, CHEAP) == 1


@pytest.mark.parametrize('rate', [0.2, 0.5, 0.9])
def test_what_pays_is_what_saves_most(rate):
    """Against the saved steps, counted over guesses of this rate."""
    rates, chance = GuessRates(), random.Random(3)
    for _ in range(2000):
        for depth in range(3):
            rates.count(3, depth, is_right=chance.random() < rate)
    for extra in (CHEAP, DEAR, (0.3, 0.5, 0.6)):
        gains = [0.0]
        for most in (1, 2, 3):
            right = sum(rate**depth for depth in range(1, most + 1))
            gains.append(right - extra[most - 1])
        assert gains[rates.worth(3, extra)] > max(gains) - 0.3
