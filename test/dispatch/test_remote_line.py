"""What a remote engine is asked: the limit of requests, and probes in idle time."""

from collections.abc import Iterator

import pytest

from support.fake_remote_desk import FakeRemoteDesk
from timebill_ros.core.bill import Bill
from timebill_ros.core.link_model import LinkState
from timebill_ros.core.outcome import NOT_KNOWN, FinishReason, MissReason
from timebill_ros.core.remote_policy import RemotePolicy

ONLY, PREFER, RACE = RemotePolicy.ONLY, RemotePolicy.PREFER, RemotePolicy.RACE


@pytest.fixture
def desk() -> Iterator[FakeRemoteDesk]:
    desk = FakeRemoteDesk()
    yield desk
    desk.dispatcher.shut_down()


def break_link(desk: FakeRemoteDesk) -> None:
    """Let the link fail; nothing is left of the query."""
    desk.submit(f'broken {desk.now_s}', remote_policy=ONLY)
    desk.fault('it broke')


def answer_probe(desk: FakeRemoteDesk) -> None:
    number = desk.engine.asked[-1]
    assert number < 0
    desk.remote.on_text(number, 'Yes', 1)
    desk.remote.on_finished(number, FinishReason.LENGTH, Bill(response_tokens=1), NOT_KNOWN)


def test_beyond_the_limit_the_own_model_answers_and_only_gets_a_sentence() -> None:
    desk = FakeRemoteDesk(requests_per_hour=2)
    for policy in (PREFER, RACE):
        desk.submit(policy.name, remote_policy=policy)
        desk.answer('left')
    assert desk.engine.asked == [0, 1]
    desk.now_s += 600.0
    for policy in (PREFER, RACE, ONLY):
        desk.submit(f'beyond {policy.name}', remote_policy=policy)
    assert desk.engine.asked == [0, 1]
    assert desk.backend.submitted()[-2:] == [2, 3]
    miss = desk.outcome('beyond ONLY')
    assert miss.reason is MissReason.QUEUE_FULL
    assert miss.detail == (
        '2 requests were sent to the remote engine within the last hour, and '
        'remote_requests_per_hour is 2; the next may be sent in 3000 s'
    )
    desk.now_s += 3000.0
    desk.submit('later', remote_policy=ONLY)
    assert desk.engine.asked == [0, 1, 5]
    desk.dispatcher.shut_down()


def test_a_policy_that_is_switched_off_and_on_does_not_renew_the_limit() -> None:
    desk = FakeRemoteDesk(requests_per_hour=1)
    desk.submit('q', remote_policy=ONLY)
    desk.answer('left')
    desk.remote.use(None)
    desk.remote.use(desk.engine, 1)
    desk.submit('p', remote_policy=ONLY)
    assert desk.outcome('p').reason is MissReason.QUEUE_FULL
    desk.dispatcher.shut_down()


def test_what_an_engine_cannot_be_asked_is_not_counted() -> None:
    desk = FakeRemoteDesk(requests_per_hour=1)
    desk.engine.is_there = False
    desk.submit('q', remote_policy=ONLY)
    assert desk.remote.link.requests == 0
    desk.dispatcher.shut_down()


def test_an_idle_node_probes_a_link_after_its_outage_until_it_is_trusted(
    desk: FakeRemoteDesk,
) -> None:
    break_link(desk)
    desk.pass_time(0.9)
    assert desk.engine.asked == [0]
    for count in range(1, 4):
        desk.pass_time(1.0)
        assert desk.engine.asked == [0, *range(-1, -1 - count, -1)]
        assert desk.remote.link.fault == 'it broke'
        answer_probe(desk)
    assert (desk.remote.link.state, desk.remote.link.fault) == (LinkState.OK, '')
    assert desk.remote.link.requests == 4
    desk.pass_time(100.0)
    assert len(desk.engine.asked) == 4
    for number in range(2):
        desk.submit(str(number), remote_policy=PREFER)
    assert len(desk.engine.asked) == 6


def test_a_probe_that_fails_doubles_the_distrust(desk: FakeRemoteDesk) -> None:
    break_link(desk)
    desk.pass_time(1.0)
    desk.fault('it broke again')
    desk.pass_time(1.9)
    assert desk.engine.asked == [0, -1]
    desk.pass_time(0.1)
    assert desk.engine.asked == [0, -1, -2]
    assert desk.remote.link.fault == 'it broke again'


def test_a_probe_that_is_not_answered_is_a_fault(desk: FakeRemoteDesk) -> None:
    break_link(desk)
    desk.pass_time(5.9)
    assert -1 not in desk.engine.aborted
    desk.pass_time(0.1)
    assert -1 in desk.engine.aborted
    assert desk.remote.link.fault == 'it did not answer a probe within 5 s'
    assert desk.remote.link.state is LinkState.DOWN
    answered_late = desk.engine.asked[-1]
    desk.remote.on_finished(answered_late, FinishReason.LENGTH, Bill(), NOT_KNOWN)
    assert desk.remote.link.state is LinkState.DOWN


def test_a_busy_node_sends_no_probes(desk: FakeRemoteDesk) -> None:
    break_link(desk)
    number = desk.ask('q', 30.0)
    desk.pass_time(10.0)
    assert desk.engine.asked == [0]
    desk.dispatcher.cancel('a', 'q', 'cancelled')
    desk.pass_time(1.0)
    assert desk.engine.asked == [0, -1]
    assert number == 1


def test_probes_leave_half_of_the_limit_to_queries() -> None:
    desk = FakeRemoteDesk(requests_per_hour=4)
    break_link(desk)
    desk.pass_time(1.0)
    assert desk.engine.asked == [0, -1]
    answer_probe(desk)
    desk.pass_time(100.0)
    assert desk.engine.asked == [0, -1]
    desk.pass_time(3498.0)
    assert desk.engine.asked == [0, -1]
    desk.pass_time(2.0)
    assert desk.engine.asked == [0, -1, -2]
    desk.dispatcher.shut_down()


def test_a_link_that_is_trusted_is_not_probed(desk: FakeRemoteDesk) -> None:
    desk.submit('q', remote_policy=ONLY)
    desk.answer('left')
    desk.pass_time(1000.0)
    assert desk.engine.asked == [0]


def test_an_engine_that_is_lost_is_not_probed_and_one_that_comes_is(desk: FakeRemoteDesk) -> None:
    break_link(desk)
    desk.remote.use(None)
    desk.pass_time(100.0)
    assert desk.engine.asked == [0]
    desk.remote.use(desk.engine)
    desk.pass_time(1.0)
    assert desk.engine.asked == [0, -1]
