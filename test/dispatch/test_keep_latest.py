"""An asker's newer query in the place of its older ones (keep_latest)."""

from collections.abc import Iterator

import pytest

from support.fake_backend import Faulted, Finished
from support.fake_desk import Desk
from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.outcome import FinishReason, Miss, MissReason
from timebill_ros.core.time_model import TimeModel

# Reading a token takes 0.1 s, writing one 0.01 s.
READER = BudgetPlanner(time_model=TimeModel(a=0.0, b=0.1, c=0.0, p=0.0, q=0.01))
EOS = FinishReason.EOS


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk(max_queue_length=10, keep_latest=True)
    yield desk
    desk.dispatcher.shut_down()


def test_it_cancels_the_older_queries_of_the_same_asker(desk: Desk) -> None:
    desk.ask('running', 60.0)
    desk.ask('other', 60.0, asker='b')
    desk.ask('newer', 60.0)
    assert desk.replies.ended() == {'running': MissReason.CANCELLED}
    assert "'newer'" in desk.outcome('running').detail
    desk.ask('newest', 60.0)
    assert desk.replies.ended()['newer'] is MissReason.CANCELLED
    desk.say(Finished(0, None, Bill()))
    assert desk.backend.runs() == [0, 1]


def test_it_keeps_what_a_refused_query_would_replace(desk: Desk) -> None:
    desk.ask('q', 60.0)
    desk.submit('expired', 0.01)
    desk.submit('q', 60.0)
    assert [outcome[1].reason for outcome in desk.replies.outcomes] == [
        MissReason.EXPIRED,
        MissReason.DUPLICATE_ID,
    ]


def test_it_makes_room_in_a_full_queue(desk: Desk) -> None:
    desk.change(max_queue_length=1)
    desk.ask('running', 60.0, asker='b')
    desk.ask('older', 60.0)
    desk.ask('newer', 60.0)
    assert desk.replies.ended() == {'older': MissReason.CANCELLED}


def test_it_keeps_the_older_one_if_the_newer_is_not_accepted(desk: Desk) -> None:
    desk.dispatcher.change_planner(READER)
    desk.ask('running', 60.0, 20, asker='b', max_new_tokens=1)
    desk.ask('older', 60.0, max_new_tokens=1)
    desk.ask('newer', 2.1, 30, max_new_tokens=1)
    assert desk.replies.ended() == {'newer': MissReason.OVERLOADED}


def test_it_gives_an_asker_that_is_too_fast_an_answer_now_and_then(desk: Desk) -> None:
    for number in range(4):
        desk.ask(f'{number}', 60.0)
    # The first ran and was cancelled. The next that runs goes on, whatever comes.
    assert sorted(desk.replies.ended()) == ['0', '1', '2']
    desk.say(Finished(0, None, Bill()))
    assert desk.backend.runs() == [0, 3]
    for number in range(4, 6):
        desk.ask(f'{number}', 60.0)
    assert sorted(desk.replies.ended()) == ['0', '1', '2', '4']
    desk.say(Finished(3, EOS, Bill()))
    assert desk.replies.ended()['3'] is EOS
    assert desk.backend.runs() == [0, 3, 5]


def test_a_flood_of_an_asker_is_bounded(desk: Desk) -> None:
    desk.change(max_queue_length=3)
    for number in range(10):
        desk.submit(f'{number}', 60.0)
    assert list(desk.replies.ended().values()) == 7 * [MissReason.QUEUE_FULL]


def test_an_asker_that_is_always_too_fast_loses_a_running_query_once(desk: Desk) -> None:
    desk.ask('0', 60.0)
    desk.ask('1', 60.0)
    desk.say(Finished(0, None, Bill()))
    for number in range(2, 6):
        desk.ask(f'{number}', 60.0)
        desk.say(Finished(number - 1, EOS, Bill()))
    assert desk.backend.runs() == [0, 1, 2, 3, 4, 5]
    assert desk.replies.ended() == {'0': MissReason.CANCELLED} | {f'{n}': EOS for n in range(1, 5)}


@pytest.mark.parametrize('end', ['answered', 'killed', 'faulted', 'withdrawn', 'paused'])
def test_once_it_has_no_query_left_a_running_one_is_withdrawn_again(desk: Desk, end: str) -> None:
    desk.ask('0', 60.0)
    desk.ask('1', 5.0)
    desk.say(Finished(0, None, Bill()))
    if end == 'answered':
        desk.say(Finished(1, EOS, Bill()))
    elif end == 'killed':
        desk.pass_time(5.0)
        desk.say(Finished(1, None, Bill()))
    elif end == 'faulted':
        desk.say(Faulted(1, 'torn'))
    elif end == 'withdrawn':
        desk.dispatcher.cancel('a', '', 'not needed')
        desk.say(Finished(1, None, Bill()))
    else:
        desk.dispatcher.pause(Miss(MissReason.CANCELLED, 'inactive'))
        desk.dispatcher.resume()
        desk.say(Finished(1, None, Bill()))
    desk.ask('2', 60.0)
    desk.ask('3', 60.0)
    assert desk.replies.ended()['2'] is MissReason.CANCELLED
    assert desk.dispatcher._turns._keep_latest._hasty == {'a'}
    desk.say(Finished(2, None, Bill()), Finished(3, EOS, Bill()))
    assert desk.dispatcher._turns._keep_latest._hasty == set()


def test_a_newer_query_is_accepted_if_it_is_in_time_in_the_place_of_the_older(desk: Desk) -> None:
    desk.dispatcher.change_planner(READER)
    desk.ask('running', 60.0, 20, asker='b', max_new_tokens=1)  # 2 s
    desk.ask('older', 60.0, 30, max_new_tokens=1)  # 3 s
    desk.ask('newer', 3.1, 10, max_new_tokens=1)  # 1 s
    assert desk.replies.ended() == {'older': MissReason.CANCELLED}


def test_a_newer_query_is_accepted_if_it_is_in_time_in_the_place_of_the_running(
    desk: Desk,
) -> None:
    desk.dispatcher.change_planner(READER)
    desk.ask('running', 60.0, 20, max_new_tokens=1)  # 2 s
    desk.ask('newer', 1.1, 10, max_new_tokens=1)  # 1 s
    assert desk.replies.ended() == {'running': MissReason.CANCELLED}


def test_a_newer_query_that_is_not_in_time_ends_no_running_one(desk: Desk) -> None:
    desk.dispatcher.change_planner(READER)
    desk.ask('running', 60.0, 20, max_new_tokens=1)
    desk.ask('hopeless', 0.2, 1, max_new_tokens=90)  # 0.1 s of reading, up to 0.9 s of writing
    assert desk.replies.ended() == {'hopeless': MissReason.OVERLOADED}
