import pytest

from support.fake_backend import FakeBackend
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.deadline import Deadline
from timebill_ros.core.outcome import Miss, MissReason, OverrunPolicy
from timebill_ros.core.query import Origin, Query, QueryKey
from timebill_ros.dispatch.dispatch_settings import DispatchSettings
from timebill_ros.dispatch.dispatcher import Dispatcher


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


class Replies:
    def __init__(self):
        self.outcomes = []

    def publish_chunk(self, origin, sequence, text, bill):
        pass

    def publish_outcome(self, origin, outcome, bill, chunk_count):
        self.outcomes.append((origin.key.id, outcome.reason.name))


def origin(query_id):
    return Origin(QueryKey('asker', query_id))


def query(query_id, clock, budget_s):
    deadline = Deadline(clock() + budget_s, clock)
    return Query(origin(query_id), 'prompt', '', 8, OverrunPolicy.KILL, clock(), deadline)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def replies():
    return Replies()


@pytest.fixture
def dispatcher(clock, replies):
    # The guard's thread sleeps in real time, so it never comes to a deadline on this clock.
    dispatcher = Dispatcher(DispatchSettings(max_queue_length=4), replies, clock, lambda: '')
    dispatcher.resume()
    dispatcher.open(FakeBackend(), 8192, BudgetPlanner())
    yield dispatcher
    dispatcher.shut_down()


def test_a_query_that_is_due_ends_before_the_next_is_refused(dispatcher, clock, replies):
    dispatcher.submit(query('first', clock, 100.0))
    clock.now_s = 99.99
    dispatcher.refuse(origin('second'), Miss(MissReason.INVALID_QUERY, 'empty'))
    assert replies.outcomes == [('first', 'KILLED'), ('second', 'INVALID_QUERY')]


def test_a_query_that_is_due_leaves_its_place_to_the_next(dispatcher, clock, replies):
    for number in range(4):
        dispatcher.submit(query(f'early {number}', clock, 100.0))
    clock.now_s = 99.99
    dispatcher.submit(query('late', clock, 100.0))
    assert replies.outcomes == [(f'early {number}', 'KILLED') for number in range(4)]


def test_a_query_that_is_not_due_stays(dispatcher, clock, replies):
    dispatcher.submit(query('first', clock, 100.0))
    clock.now_s = 99.9
    dispatcher.submit(query('second', clock, 100.0))
    assert replies.outcomes == []
