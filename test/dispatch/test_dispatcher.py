"""Queries' ways through the node, with a fake backend and a clock that stands still."""

import threading
import time
from collections.abc import Iterator

import pytest

from support.fake_backend import (
    Drop,
    FakeBackend,
    Faulted,
    Finished,
    Planned,
    Run,
    Submit,
    Text,
    Tokenised,
)
from support.fake_desk import Desk
from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.outcome import Answer, FinishReason, Miss, MissReason, OverrunPolicy
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.core.time_model import TimeModel


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.dispatcher.shut_down()


def test_a_query_is_run_when_tokenised_and_answered_with_its_chunks(desk: Desk) -> None:
    desk.submit('q')
    assert desk.backend.told == [Submit(0, '?', '')]
    desk.say(Tokenised(0, 12))
    assert desk.backend.told[1:] == [Run(0, 10, 1009.98, 1009.98, PlannerSettings())]
    desk.now_s += 1.0
    desk.say(Planned(0, Bill(prompt_tokens=12, kept_tokens=12, prefill_time=1.0)))
    desk.say(Text(0, 'a b', 1), Text(0, ' cd ', 2))  # the second within the chunk period
    desk.say(Finished(0, FinishReason.EOS, Bill(prompt_tokens=12, total_time=1.5)))
    (query_id, outcome, bill, chunk_count) = desk.replies.outcomes[0]
    assert (query_id, outcome, chunk_count) == ('q', Answer('a b cd ', FinishReason.EOS), 2)
    assert desk.replies.chunks == [('q', 0, 'a'), ('q', 1, ' b cd ')]
    assert (bill.time_budget, bill.slack) == pytest.approx((10.0, 9.0))


def test_queries_run_one_at_a_time_in_order(desk: Desk) -> None:
    for query_id in 'abc':
        desk.submit(query_id)
    desk.say(Tokenised(0, 1), Tokenised(1, 1), Tokenised(2, 1))
    assert desk.backend.runs() == [0]
    desk.now_s += 3.0
    desk.say(Finished(0, FinishReason.EOS, Bill()))
    assert desk.backend.runs() == [0, 1]
    desk.say(Finished(1, FinishReason.LENGTH, Bill()))
    assert desk.replies.ended() == {'a': FinishReason.EOS, 'b': FinishReason.LENGTH}
    assert desk.replies.outcomes[1][2].queue_time == pytest.approx(3.0)


def test_a_running_query_is_killed_at_its_last_moment_and_dropped(desk: Desk) -> None:
    desk.submit('q', 5.0)
    desk.say(Tokenised(0, 7), Planned(0, Bill(prompt_tokens=7)), Text(0, 'x', 1))
    desk.pass_time(4.98)
    (_, miss, bill, _) = desk.replies.outcomes[0]
    assert miss.reason is MissReason.KILLED
    assert bill.slack == pytest.approx(0.02)
    assert bill.decode_time == pytest.approx(4.98)
    assert desk.backend.told[-1] == Drop(0)


def test_a_waiting_query_is_killed_at_its_last_moment(desk: Desk) -> None:
    desk.submit('running', 60.0)
    desk.submit('waiting', 2.0)
    desk.say(Tokenised(0, 1), Tokenised(1, 1))
    desk.pass_time(1.99)
    assert desk.replies.ended() == {'waiting': MissReason.KILLED}
    assert 'waiting for its turn' in desk.replies.outcomes[0][1].detail
    desk.say(Finished(0, FinishReason.EOS, Bill()))
    assert desk.backend.runs() == [0]


def test_an_answer_that_comes_in_the_reserve_is_a_miss(desk: Desk) -> None:
    desk.submit('q', 5.0)
    desk.say(Tokenised(0, 1))
    desk.now_s += 4.985
    desk.say(Finished(0, FinishReason.EOS, Bill()))
    assert desk.replies.ended() == {'q': MissReason.KILLED}


def test_the_next_query_waits_until_the_worker_is_free_of_a_killed_one(desk: Desk) -> None:
    desk.submit('killed', 1.0)
    desk.submit('next', 60.0)
    desk.say(Tokenised(0, 1), Tokenised(1, 1))
    desk.pass_time(1.0)
    assert desk.backend.runs() == [0]
    desk.say(Text(0, 'late', 1), Finished(0, None, Bill()))
    assert desk.backend.runs() == [0, 1]
    assert len(desk.replies.outcomes) == 1


def test_a_worker_that_does_not_stop_in_time_is_killed(desk: Desk) -> None:
    desk.submit('q', 1.0)
    desk.say(Tokenised(0, 1))
    desk.pass_time(1.0)
    assert not desk.backend.killed
    desk.pass_time(0.2)
    assert 'abort_grace, 0.2 s' in desk.backend.killed[0]


REFUSALS = {
    'EXPIRED': lambda desk: desk.submit('q', 0.01),
    'DUPLICATE_ID': lambda desk: [desk.submit('q'), desk.submit('q')],
    'QUEUE_FULL': lambda desk: [desk.submit(str(n)) for n in range(4)],
    'NOT_READY': lambda desk: [
        desk.dispatcher.close(Miss(MissReason.CANCELLED, '')),
        desk.submit('q'),
    ],
}


@pytest.mark.parametrize('reason', REFUSALS)
def test_refusals_are_said_at_once(desk: Desk, reason: str) -> None:
    REFUSALS[reason](desk)
    (_, miss, bill, _) = desk.replies.outcomes[0]
    assert miss.reason.name == reason
    assert miss.detail
    assert bill == Bill(time_budget=bill.time_budget, slack=bill.time_budget) != Bill()


def test_an_id_can_be_used_again_after_its_end(desk: Desk) -> None:
    desk.submit('q')
    desk.submit('q', asker='b')
    desk.say(Tokenised(0, 1), Finished(0, FinishReason.EOS, Bill()))
    desk.submit('q')
    assert [message.number for message in desk.backend.told if isinstance(message, Submit)] == [
        0,
        1,
        2,
    ]


@pytest.mark.parametrize(('tokens', 'is_refused'), [(99, False), (100, True)])
def test_a_prompt_must_leave_room_for_a_token(desk: Desk, tokens: int, is_refused: bool) -> None:
    desk.submit('q')
    desk.say(Tokenised(0, tokens))
    assert (desk.replies.ended() == {'q': MissReason.INVALID_QUERY}) == is_refused


SLOW_READER = TimeModel(a=0.0, b=0.1, c=0.0, p=0.0, q=0.01, delta=0.2)


def test_what_cannot_be_met_is_infeasible_at_once_with_the_smallest_budget(desk: Desk) -> None:
    desk.dispatcher.change_planner(BudgetPlanner(time_model=SLOW_READER))
    desk.submit('q', 2.0)
    desk.now_s += 0.001
    desk.say(Tokenised(0, 20))
    (_, miss, bill, _) = desk.replies.outcomes[0]
    assert miss.reason is MissReason.INFEASIBLE
    assert '20 prompt tokens' in miss.detail
    assert miss.minimum_time_budget_s == pytest.approx(2.021, abs=0.0011)
    assert bill.predicted_prefill_time == pytest.approx(2.0)
    assert desk.backend.runs() == []

    desk.submit('again', miss.minimum_time_budget_s)
    desk.now_s += 0.001
    desk.say(Tokenised(1, 20))
    assert desk.backend.runs() == [1]


def test_waiting_can_make_a_query_infeasible_and_the_next_is_run(desk: Desk) -> None:
    desk.dispatcher.change_planner(BudgetPlanner(time_model=SLOW_READER))
    for query_id in ('running', 'late', 'next'):
        desk.submit(query_id, 3.0)
    desk.say(Tokenised(0, 1), Tokenised(1, 20), Tokenised(2, 1))
    desk.now_s += 1.5
    desk.say(Finished(0, FinishReason.EOS, Bill()))
    assert desk.replies.ended()['late'] is MissReason.INFEASIBLE
    assert desk.backend.runs() == [0, 2]


def test_a_fault_ends_its_query_only(desk: Desk) -> None:
    desk.submit('a')
    desk.submit('b')
    desk.say(Tokenised(0, 1), Tokenised(1, 1), Faulted(0, 'out of memory'))
    assert desk.replies.ended() == {'a': MissReason.ENGINE_FAULT}
    assert desk.backend.runs() == [0, 1]


def test_a_lost_worker_ends_all_it_held_and_the_next_serves(desk: Desk) -> None:
    desk.submit('a')
    desk.submit('b')
    desk.say(Tokenised(0, 1))
    desk.dispatcher.close(Miss(MissReason.ENGINE_FAULT, 'died'))
    assert desk.replies.ended() == dict.fromkeys('ab', MissReason.ENGINE_FAULT)
    desk.say(Tokenised(1, 1))  # out of the dead worker's last buffer
    desk.dispatcher.open(FakeBackend(), 100, BudgetPlanner())
    desk.submit('a')
    assert len(desk.replies.outcomes) == 2


def test_every_query_ends_exactly_once_whatever_races(desk: Desk) -> None:
    """Many threads ask, answer, cancel and let deadlines pass at once."""
    total = 400
    stop = threading.Event()

    def answer_all() -> None:
        number = 0
        while not stop.is_set():
            for message in list(desk.backend.told):
                if isinstance(message, Submit) and message.number >= number:
                    desk.say(Tokenised(message.number, 1), Text(message.number, 'x', 1))
                    desk.say(Finished(message.number, FinishReason.EOS, Bill()))
                    number = message.number + 1

    def cancel() -> None:
        while not stop.is_set():
            desk.dispatcher.cancel('a', '', 'test')
            time.sleep(0.0005)

    threads = [threading.Thread(target=target) for target in (answer_all, answer_all, cancel)]
    for thread in threads:
        thread.start()
    for number in range(total):
        policy = OverrunPolicy(1 + number % 3)
        desk.submit(str(number), budget_s=0.0205, policy=policy)
        desk.now_s += 0.0001
    stop.set()
    for thread in threads:
        thread.join()
    desk.dispatcher.cancel('a', '', 'end')
    assert sorted(int(outcome[0]) for outcome in desk.replies.outcomes) == list(range(total))
