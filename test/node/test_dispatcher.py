"""Queries' ways through the node, with a fake worker and a clock that stands still."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from timebill_ros.core.bill import Bill
from timebill_ros.core.deadline import Deadline
from timebill_ros.core.outcome import Answer, FinishReason, Miss, MissReason, OverrunPolicy
from timebill_ros.core.query import Origin, Query, QueryKey
from timebill_ros.node.dispatcher import Dispatcher, DispatchSettings
from timebill_ros.worker.protocol import (
    Drop,
    Faulted,
    Finished,
    Planned,
    Run,
    Submit,
    Text,
    Tokenised,
)

SETTINGS = DispatchSettings(
    max_queue_length=3, publish_reserve_s=0.02, chunk_period_s=0.05, abort_grace_s=0.2
)


class FakeWorker:
    """Records what it is sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.killed: list[str] = []

    def send(self, message: Any) -> None:
        self.sent.append(message)

    def kill(self, detail: str) -> None:
        self.killed.append(detail)

    def runs(self) -> list[int]:
        return [message.number for message in self.sent if isinstance(message, Run)]


class FakeReplies:
    """Records what is published."""

    def __init__(self) -> None:
        self.chunks: list[tuple[str, int, str]] = []
        self.outcomes: list[tuple[str, Any, Bill, int]] = []

    def publish_chunk(self, origin: Origin, sequence: int, text: str) -> None:
        assert origin.key.id not in [outcome[0] for outcome in self.outcomes]
        self.chunks.append((origin.key.id, sequence, text))

    def publish_outcome(self, origin: Origin, outcome: Any, bill: Bill, chunk_count: int) -> None:
        self.outcomes.append((origin.key.id, outcome, bill, chunk_count))

    def ended(self) -> dict[str, Any]:
        return {
            query_id: outcome.reason if isinstance(outcome, Miss) else outcome.finish_reason
            for query_id, outcome, _, _ in self.outcomes
        }


class Desk:
    """A dispatcher with fakes around it."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.worker = FakeWorker()
        self.replies = FakeReplies()
        self.dispatcher = Dispatcher(SETTINGS, self.replies, lambda: self.now_s)
        self.dispatcher.open(self.worker, context_length=100)

    def submit(self, query_id: str, budget_s: float = 10.0, asker: str = 'a') -> None:
        self.dispatcher.submit(
            Query(
                origin=Origin(QueryKey(asker, query_id)),
                prompt='?',
                system_prompt='',
                max_new_tokens=10,
                overrun_policy=OverrunPolicy.KILL,
                asked_at_s=self.now_s,
                deadline=Deadline(self.now_s + budget_s, lambda: self.now_s),
            )
        )

    def say(self, *messages: Any) -> None:
        for message in messages:
            self.dispatcher.on_worker_message(message)

    def wait_for_guard(self, query_id: str) -> None:
        """Let the guard, whose thread sleeps in real time, look at the clock again."""
        self.dispatcher._guard.at(0.0, lambda: None)
        end = time.monotonic() + 5.0
        while query_id not in self.replies.ended():
            assert time.monotonic() < end, query_id
            time.sleep(0.001)


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.dispatcher.shut_down()


def test_a_query_is_run_when_tokenised_and_answered_with_its_chunks(desk: Desk) -> None:
    desk.submit('q')
    assert desk.worker.sent == [Submit(0, '?', '')]
    desk.say(Tokenised(0, 12))
    assert desk.worker.sent[1:] == [Run(0, 10, stop_at_s=1009.98)]
    desk.now_s += 1.0
    desk.say(Planned(0, Bill(prompt_tokens=12, kept_tokens=12, prefill_time=1.0)))
    desk.say(Text(0, 'ab', 1), Text(0, 'cd', 2))  # the second within the chunk period
    desk.say(Finished(0, FinishReason.EOS, Bill(prompt_tokens=12, total_time=1.5)))
    (query_id, outcome, bill, chunk_count) = desk.replies.outcomes[0]
    assert (query_id, outcome, chunk_count) == ('q', Answer('abcd', FinishReason.EOS), 2)
    assert desk.replies.chunks == [('q', 0, 'ab'), ('q', 1, 'cd')]
    assert (bill.time_budget, bill.slack) == pytest.approx((10.0, 9.0))


def test_queries_run_one_at_a_time_in_order(desk: Desk) -> None:
    for query_id in 'abc':
        desk.submit(query_id)
    desk.say(Tokenised(0, 1), Tokenised(1, 1), Tokenised(2, 1))
    assert desk.worker.runs() == [0]
    desk.now_s += 3.0
    desk.say(Finished(0, FinishReason.EOS, Bill()))
    assert desk.worker.runs() == [0, 1]
    desk.say(Finished(1, FinishReason.LENGTH, Bill()))
    assert desk.replies.ended() == {'a': FinishReason.EOS, 'b': FinishReason.LENGTH}
    assert desk.replies.outcomes[1][2].queue_time == pytest.approx(3.0)


def test_a_running_query_is_killed_at_its_last_moment_and_dropped(desk: Desk) -> None:
    desk.submit('q', 5.0)
    desk.say(Tokenised(0, 7), Planned(0, Bill(prompt_tokens=7)), Text(0, 'x', 1))
    desk.now_s += 4.98
    desk.wait_for_guard('q')
    (_, miss, bill, _) = desk.replies.outcomes[0]
    assert miss.reason is MissReason.KILLED
    assert bill.slack == pytest.approx(0.02)
    assert bill.decode_time == pytest.approx(4.98)
    assert desk.worker.sent[-1] == Drop(0)


def test_a_waiting_query_is_killed_at_its_last_moment(desk: Desk) -> None:
    desk.submit('running', 60.0)
    desk.submit('waiting', 2.0)
    desk.say(Tokenised(0, 1), Tokenised(1, 1))
    desk.now_s += 1.99
    desk.wait_for_guard('waiting')
    assert desk.replies.ended() == {'waiting': MissReason.KILLED}
    assert 'waiting for its turn' in desk.replies.outcomes[0][1].detail
    desk.say(Finished(0, FinishReason.EOS, Bill()))
    assert desk.worker.runs() == [0]


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
    desk.now_s += 1.0
    desk.wait_for_guard('killed')
    assert desk.worker.runs() == [0]
    desk.say(Text(0, 'late', 1), Finished(0, 0, Bill()))
    assert desk.worker.runs() == [0, 1]
    assert len(desk.replies.outcomes) == 1


def test_a_worker_that_does_not_stop_in_time_is_killed(desk: Desk) -> None:
    desk.submit('q', 1.0)
    desk.say(Tokenised(0, 1))
    desk.now_s += 1.0
    desk.wait_for_guard('q')
    assert not desk.worker.killed
    desk.now_s += 0.2
    desk.dispatcher._guard.at(0.0, lambda: None)
    end = time.monotonic() + 5.0
    while not desk.worker.killed:
        assert time.monotonic() < end
        time.sleep(0.001)
    assert 'abort_grace, 0.2 s' in desk.worker.killed[0]


REFUSALS = {
    'EXPIRED': lambda desk: desk.submit('q', 0.01),
    'DUPLICATE_ID': lambda desk: [desk.submit('q'), desk.submit('q')],
    'QUEUE_FULL': lambda desk: [desk.submit(str(n)) for n in range(4)],
    'NOT_READY': lambda desk: [
        desk.dispatcher.close(Miss(MissReason.CANCELLED, ''), lambda: 'loading'),
        desk.submit('q'),
    ],
}


@pytest.mark.parametrize('reason', REFUSALS)
def test_refusals_are_said_at_once(desk: Desk, reason: str) -> None:
    REFUSALS[reason](desk)
    (_, miss, _, _) = desk.replies.outcomes[0]
    assert miss.reason.name == reason
    assert miss.detail


def test_an_id_can_be_used_again_after_its_end(desk: Desk) -> None:
    desk.submit('q')
    desk.submit('q', asker='b')
    desk.say(Tokenised(0, 1), Finished(0, FinishReason.EOS, Bill()))
    desk.submit('q')
    assert [message.number for message in desk.worker.sent if isinstance(message, Submit)] == [
        0,
        1,
        2,
    ]


@pytest.mark.parametrize(('tokens', 'is_refused'), [(99, False), (100, True)])
def test_a_prompt_must_leave_room_for_a_token(desk: Desk, tokens: int, is_refused: bool) -> None:
    desk.submit('q')
    desk.say(Tokenised(0, tokens))
    assert (desk.replies.ended() == {'q': MissReason.INVALID_QUERY}) == is_refused


def test_a_fault_ends_its_query_only(desk: Desk) -> None:
    desk.submit('a')
    desk.submit('b')
    desk.say(Tokenised(0, 1), Tokenised(1, 1), Faulted(0, 'out of memory'))
    assert desk.replies.ended() == {'a': MissReason.ENGINE_FAULT}
    assert desk.worker.runs() == [0, 1]


def test_a_lost_worker_ends_all_it_held_and_the_next_serves(desk: Desk) -> None:
    desk.submit('a')
    desk.submit('b')
    desk.say(Tokenised(0, 1))
    desk.dispatcher.close(Miss(MissReason.ENGINE_FAULT, 'died'), lambda: 'restarting')
    assert desk.replies.ended() == dict.fromkeys('ab', MissReason.ENGINE_FAULT)
    desk.say(Tokenised(1, 1))  # out of the dead worker's last buffer
    desk.dispatcher.open(FakeWorker(), 100)
    desk.submit('a')
    assert len(desk.replies.outcomes) == 2


def test_every_query_ends_exactly_once_whatever_races(desk: Desk) -> None:
    """Many threads ask, answer, cancel and let deadlines pass at once."""
    total = 400
    stop = threading.Event()

    def answer_all() -> None:
        number = 0
        while not stop.is_set():
            for message in list(desk.worker.sent):
                if isinstance(message, Submit) and message.number >= number:
                    desk.say(Tokenised(message.number, 1), Text(message.number, 'x', 1))
                    desk.say(Finished(message.number, FinishReason.EOS, Bill()))
                    number = message.number + 1

    def cancel() -> None:
        while not stop.is_set():
            desk.dispatcher.cancel_all('test')
            time.sleep(0.0005)

    threads = [threading.Thread(target=target) for target in (answer_all, answer_all, cancel)]
    for thread in threads:
        thread.start()
    for number in range(total):
        desk.submit(str(number), budget_s=0.0205)
        desk.now_s += 0.0001
    stop.set()
    for thread in threads:
        thread.join()
    desk.dispatcher.cancel_all('end')
    assert sorted(int(outcome[0]) for outcome in desk.replies.outcomes) == list(range(total))
