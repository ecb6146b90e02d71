"""What is cached of a prompt need not be read: admission, refusals and bills count the rest."""

from dataclasses import replace

import pytest

from support.fake_backend import Cached, Finished, Tokenised
from support.fake_desk import Desk
from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.outcome import FinishReason, MissReason
from timebill_ros.core.time_model import TimeModel

MODEL = TimeModel(a=0.0, b=0.01, c=0.1, p=0.0, q=0.001)
"""A prompt of 90 tokens takes 1 s, of which 80 are cached 0.2 s."""


@pytest.fixture
def desk() -> Desk:
    desk = Desk(admission_probability=0.5)
    desk.dispatcher.open(desk.backend, 1000, BudgetPlanner(time_model=MODEL))
    desk.dispatcher.change_planner(BudgetPlanner(time_model=MODEL), longest_prefix=2000)
    return desk


def asked(desk: Desk, query_id: str, budget_s: float, cached_tokens: int = 0) -> int:
    """Submit a query of 90 tokens, whose backend says how many are cached; return its number."""
    before = len(desk.backend.submitted())
    desk.submit(query_id, budget_s, prompt='word' * 90)
    number = desk.backend.submitted()[-1]
    assert len(desk.backend.submitted()) > before
    desk.say(Tokenised(number, 90, cached_tokens=cached_tokens))
    return number


def test_a_query_is_infeasible_by_what_is_left_to_read(desk: Desk) -> None:
    asked(desk, 'cached', 0.5, cached_tokens=80)
    asked(desk, 'whole', 0.5)
    assert desk.backend.runs() == [0]
    miss = desk.outcome('whole')
    assert miss.reason is MissReason.INFEASIBLE
    assert 'reading 90 prompt tokens is estimated to take 1.000 s' in miss.detail
    assert miss.minimum_time_budget_s == pytest.approx(1.021)
    desk.say(Finished(0, FinishReason.EOS, Bill(response_tokens=3)))
    asked(desk, 'tight', 0.1, cached_tokens=80)
    miss = desk.outcome('tight')
    assert 'reading 10 of 90 prompt tokens (the others are in the cache)' in miss.detail
    assert miss.minimum_time_budget_s == pytest.approx(0.221)
    (bill,) = [reply[2] for reply in desk.replies.outcomes if reply[0] == 'tight']
    assert (bill.cached_tokens, bill.predicted_prefill_time) == (80, pytest.approx(0.2))


def test_to_attend_to_what_is_cached_counts_in_the_refusal_the_plan_and_the_bill(
    desk: Desk,
) -> None:
    model = replace(MODEL, d=0.002)  # 0.16 s for 80 tokens
    desk.dispatcher.change_planner(BudgetPlanner(time_model=model), longest_prefix=2000)
    asked(desk, 'tight', 0.3, cached_tokens=80)
    miss = desk.outcome('tight')
    assert miss.reason is MissReason.INFEASIBLE
    assert 'is estimated to take 0.360 s' in miss.detail
    assert miss.minimum_time_budget_s == pytest.approx(0.381)
    (bill,) = [reply[2] for reply in desk.replies.outcomes if reply[0] == 'tight']
    assert bill.predicted_prefill_time == pytest.approx(0.36)
    asked(desk, 'runs', 10.0, cached_tokens=80)
    asked(desk, 'late', 0.7, cached_tokens=80)  # 0.36 s ahead and 0.36 s, and two answers
    assert desk.outcome('late').reason is MissReason.OVERLOADED
    asked(desk, 'in time', 0.8, cached_tokens=80)
    assert 'in time' not in desk.replies.ended()


def test_what_waits_ahead_counts_by_what_it_has_to_read(desk: Desk) -> None:
    asked(desk, 'runs', 10.0)
    for number in range(1, 3):
        asked(desk, f'waits{number}', 10.0, cached_tokens=80)
    # 1 s + 2 x 0.2 s ahead, and answers of up to 10 tokens.
    asked(desk, 'in time', 1.8, cached_tokens=80)
    assert 'in time' not in desk.replies.ended()


def test_a_query_that_loses_what_was_cached_is_admitted_anew(desk: Desk) -> None:
    running = asked(desk, 'runs', 10.0)
    waiting = asked(desk, 'waits', 1.5, cached_tokens=80)
    assert 'waits' not in desk.replies.ended()
    desk.say(Cached(waiting, 0))
    miss = desk.outcome('waits')
    assert miss.reason is MissReason.OVERLOADED
    assert 'Reading 90 prompt tokens' in miss.detail
    desk.say(Cached(waiting, 80), Cached(running, 80))  # ended, and running: nothing happens
    assert desk.replies.ended() == {'waits': MissReason.OVERLOADED}


def test_a_query_of_which_more_is_cached_meanwhile_keeps_its_place(desk: Desk) -> None:
    first = asked(desk, 'first', 10.0)
    second = asked(desk, 'second', 2.5)
    desk.say(Cached(second, 80))
    third = asked(desk, 'third', 1.6, cached_tokens=80)
    assert desk.replies.ended() == {}
    for number in (first, second, third):
        desk.say(Finished(number, FinishReason.EOS, Bill(response_tokens=2)))
    assert desk.backend.runs() == [first, second, third]


def test_before_it_is_tokenised_a_query_may_be_cached_whole(desk: Desk) -> None:
    asked(desk, 'runs', 10.0)
    desk.dispatcher.change_planner(BudgetPlanner(time_model=MODEL), longest_prefix=0)
    desk.submit('refused', 1.5, prompt='word' * 90)
    assert desk.outcome('refused').reason is MissReason.OVERLOADED
    desk.dispatcher.change_planner(BudgetPlanner(time_model=MODEL), longest_prefix=2000)
    asked(desk, 'cached', 1.5, cached_tokens=80)
    asked(desk, 'not cached', 1.5)
    assert desk.replies.ended() == {
        'refused': MissReason.OVERLOADED,
        'not cached': MissReason.OVERLOADED,
    }
