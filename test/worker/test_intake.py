"""A Drop acts at once, wherever its query stands: before, during and after tokenising."""

import threading
import time
from collections.abc import Iterator

import pytest

from support.asker import wait_until
from timebill_ros.core.bill import Bill
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.core.turn import HistoryError, Role, Turn
from timebill_ros.worker.intake import Intake
from timebill_ros.worker.progress import (
    Cached,
    Faulted,
    Finished,
    Rejected,
    Tokenised,
)
from timebill_ros.worker.protocol import (
    Drop,
    FromWorker,
    Recalibrate,
    Run,
    Submit,
)


def free(*_: object) -> None:
    """Compile no constraint: no query here has one."""


class FakeSlowTokeniser:
    """Takes a prompt, and gives it back when the test says so. One token a word."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self._may_end = threading.Semaphore(0)

    def token_ids(self, prompt: str, *_: object) -> list[int]:
        self.begun.append(prompt)
        assert self._may_end.acquire(timeout=10.0)
        if prompt == 'unheard':
            raise HistoryError('history cannot be used')
        if prompt == 'bad':
            raise ValueError('no words')
        return list(range(len(prompt.split())))

    def finish(self, prompts: int = 1) -> None:
        self._may_end.release(prompts)


class Room:
    """An intake with a slow tokeniser, and what it has sent."""

    def __init__(self) -> None:
        self.sent: list[FromWorker] = []
        self.tokeniser = FakeSlowTokeniser()
        self.intake = Intake(self.sent.append)
        self.intake.start_tokenising(self.tokeniser.token_ids, free)

    def submit(self, number: int, prompt: str) -> None:
        self.intake.take(Submit(number, prompt, ''))

    def wait_for(self, *sent: FromWorker) -> None:
        wait_until(lambda: len(self.sent) >= len(sent), 5.0, f'{sent}')
        assert self.sent == list(sent)


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room()
    yield room
    room.tokeniser.finish(100)


def run(number: int) -> Run:
    return Run(number, 8, 10.0, 10.0, PlannerSettings())


def test_queries_are_tokenised_in_order_and_run(room: Room) -> None:
    room.submit(0, 'one two')
    room.submit(1, 'three')
    room.tokeniser.finish(2)
    room.wait_for(Tokenised(0, 2), Tokenised(1, 1))
    room.intake.take(run(0))
    assert room.intake.next_work() == run(0)
    query = room.intake.begin(0)
    assert query is not None
    assert (query.prompt, query.token_ids) == ('one two', [0, 1])
    room.intake.end(0)
    assert list(room.intake._held) == [1]


def test_an_abort_does_not_wait_for_a_tokeniser(room: Room) -> None:
    room.submit(0, 'running')
    room.tokeniser.finish()
    room.wait_for(Tokenised(0, 1))
    running = room.intake.begin(0)
    assert running is not None
    room.submit(1, 'long')
    wait_until(lambda: room.tokeniser.begun == ['running', 'long'], 5.0, 'tokenising')
    assert not running.abort.is_set()
    room.intake.take(Drop(0))
    assert running.abort.is_set()  # the tokeniser has not finished


def test_what_is_dropped_while_it_waits_is_not_tokenised(room: Room) -> None:
    room.submit(0, 'first')
    wait_until(lambda: room.tokeniser.begun, 5.0, 'tokenising')
    room.submit(1, 'second')
    room.submit(2, 'third')
    room.intake.take(Drop(1))
    room.tokeniser.finish(2)
    room.wait_for(Tokenised(0, 1), Tokenised(2, 1))
    assert room.tokeniser.begun == ['first', 'third']
    assert list(room.intake._held) == [0, 2]


def test_what_is_dropped_while_it_is_tokenised_leaves_nothing_behind(room: Room) -> None:
    room.submit(0, 'dropped')
    wait_until(lambda: room.tokeniser.begun, 5.0, 'tokenising')
    room.intake.take(Drop(0))
    room.submit(1, 'next')
    room.tokeniser.finish(2)
    room.wait_for(Tokenised(1, 1))
    assert list(room.intake._held) == [1]


def test_what_is_dropped_before_its_turn_does_not_begin(room: Room) -> None:
    room.submit(0, 'dropped')
    room.tokeniser.finish()
    room.wait_for(Tokenised(0, 1))
    room.intake.take(run(0))
    room.intake.take(Drop(0))
    room.wait_for(Tokenised(0, 1), Finished(0, None, Bill()))  # at once, whatever runs
    assert room.intake.next_work() == run(0)
    assert room.intake.begin(0) is None
    assert not room.intake._held


def test_what_is_sent_while_a_query_runs_is_urgent(room: Room) -> None:
    assert room.intake.urgent_work() is None
    room.intake.take(run(1))
    assert room.intake.urgent_work() == run(1)
    room.intake.take(Recalibrate())
    assert room.intake.urgent_work() is None
    assert room.intake.next_work() == Recalibrate()


def test_a_drop_after_the_end_has_no_effect(room: Room) -> None:
    room.submit(0, 'done')
    room.tokeniser.finish()
    room.wait_for(Tokenised(0, 1))
    room.intake.begin(0)
    room.intake.end(0)
    room.intake.take(Drop(0))
    assert not room.intake._held


def test_a_prompt_that_cannot_be_tokenised_is_its_querys_fault_only(room: Room) -> None:
    room.submit(0, 'bad')
    room.submit(1, 'good')
    room.tokeniser.finish(2)
    room.wait_for(Faulted(0, 'the prompt could not be tokenised: no words'), Tokenised(1, 1))
    assert list(room.intake._held) == [1]


def test_a_history_that_cannot_be_used_is_rejected(room: Room) -> None:
    room.submit(0, 'unheard')
    room.tokeniser.finish()
    room.wait_for(Rejected(0, 'history cannot be used'))
    assert not room.intake._held


def test_context_and_history_reach_the_tokeniser() -> None:
    sent: list[FromWorker] = []
    asked: list[object] = []
    intake = Intake(sent.append)
    intake.start_tokenising(lambda *texts: asked.append(texts) or [0], free)  # type: ignore[func-returns-value]
    turns = (Turn(Role.USER, 'Hi'),)
    intake.take(Submit(0, 'word', 'system', context='map', history=turns))
    wait_until(lambda: sent, 5.0, 'tokenised')
    assert asked == [('word', 'system', 'map', turns)]


def test_work_is_done_in_the_order_of_the_messages(room: Room) -> None:
    room.intake.take(run(0))
    room.intake.take(Recalibrate())
    assert [room.intake.next_work() for _ in range(2)] == [run(0), Recalibrate()]


class FakePins:
    """Promises as many tokens of each prompt as the test says."""

    def __init__(self) -> None:
        self.cached = 0
        self.pinned: dict[int, int] = {}

    def pin(self, holder: int, token_ids: list[int]) -> int:
        self.pinned[holder] = min(self.cached, len(token_ids))
        return self.pinned[holder]

    def unpin(self, holder: int) -> None:
        self.pinned.pop(holder, None)


def test_what_is_cached_is_promised_until_the_query_is_read_dropped_or_ended() -> None:
    sent: list[FromWorker] = []
    intake, pins = Intake(sent.append), FakePins()
    intake.start_tokenising(lambda prompt, *_: [0] * len(prompt), free, pins)
    pins.cached = 3
    for number in range(4):
        intake.take(Submit(number, 'words', ''))
    wait_until(lambda: len(sent) == 4, 5.0, 'all')
    assert sent == [Tokenised(number, 5, cached_tokens=3) for number in range(4)]
    assert intake.begin(0) is not None
    intake.has_read(0)
    intake.take(Drop(1))
    intake.end(2)
    assert pins.pinned == {3: 3}
    intake.end(3)
    assert pins.pinned == {}


def test_a_waiting_query_is_told_of_when_more_or_less_of_it_is_cached() -> None:
    sent: list[FromWorker] = []
    intake, pins = Intake(sent.append), FakePins()
    intake.start_tokenising(lambda prompt, *_: [0] * len(prompt), free, pins)
    for number in range(2):
        intake.take(Submit(number, 'words', ''))
    wait_until(lambda: len(sent) == 2, 5.0, 'both')
    intake.begin(0)
    sent.clear()
    for cached in (4, 4, 0):
        pins.cached = cached
        intake.promise_again()
    assert sent == [Cached(1, 4), Cached(1, 0)]


def test_whatever_races_nothing_leaks_and_what_is_not_dropped_is_tokenised() -> None:
    sent: list[FromWorker] = []
    intake = Intake(sent.append)
    intake.start_tokenising(lambda prompt, *_: time.sleep(0.0002) or [0], free)
    total = 600
    for number in range(total):
        intake.take(Submit(number, 'word', ''))
        if number % 3:
            intake.take(Drop(number - number % 3))
    kept = [number for number in range(total) if number % 3]
    wait_until(lambda: Tokenised(kept[-1], 1) in sent, 10.0, 'the last one')
    assert sorted(intake._held) == kept
    assert {m.number for m in sent if isinstance(m, Tokenised)} >= set(kept)
