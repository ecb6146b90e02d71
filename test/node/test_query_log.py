"""The log tells how queries end, and does not drown in it."""

import pytest

from support.fake_logger import FakeLogger
from timebill_ros.core.bill import Bill
from timebill_ros.core.outcome import Answer, FinishReason, Miss, MissReason, Outcome
from timebill_ros.core.query import Origin, QueryKey
from timebill_ros.node.query_log import QueryLog

KILLED = Miss(MissReason.KILLED, 'time was up while it was writing the response')
IN_TIME = Answer('text', FinishReason.EOS)
BILL = Bill(prompt_tokens=7, response_tokens=3, queue_time=0.25, decode_time=1.5, slack=-0.125)


class Room:
    """A query log, and what it has logged."""

    def __init__(self) -> None:
        self.logger = FakeLogger()
        self.log = QueryLog(self.logger)

    def end(self, *outcomes: Outcome) -> None:
        for outcome in outcomes:
            self.log.ended(Origin(QueryKey('arm', 'q1')), outcome, BILL)

    @property
    def warnings(self) -> list[str]:
        return self.logger.at('warning')


@pytest.fixture
def room() -> Room:
    return Room()


def test_each_query_is_a_line_at_debug_and_one_in_time_no_more(room: Room) -> None:
    room.end(IN_TIME)
    (line,) = room.logger.at('debug')
    assert "query 'q1' of asker 'arm': answered in time (EOS)" in line
    assert '7 tokens in, 3 out; queue 0.250 s' in line
    assert line.endswith('decode 1.500 s, slack -0.125 s')
    assert room.logger.lines == [('debug', line)]


def test_the_first_miss_of_a_reason_is_told_in_full_and_the_next_are_counted(room: Room) -> None:
    room.end(*[KILLED] * 100, Miss(MissReason.QUEUE_FULL, 'full'))
    room.end(Answer('text', FinishReason.EOS, deadline_met=False))
    assert len(room.warnings) == 3
    assert "query 'q1' of asker 'arm': missed (KILLED: time was up while" in room.warnings[0]
    assert 'missed (QUEUE_FULL: full)' in room.warnings[1]
    assert 'answered late' in room.warnings[2]
    room.log.summarise()
    assert room.warnings[3:] == ['in the last minute, queries were missed: 99 KILLED']


def test_a_minute_without_misses_is_quiet_and_the_next_miss_is_told_again(room: Room) -> None:
    room.end(KILLED)
    room.log.summarise()
    room.end(KILLED)
    assert len(room.warnings) == 1
    room.log.summarise()
    assert len(room.warnings) == 2
    room.log.summarise()
    assert len(room.warnings) == 2
    room.end(KILLED)
    assert 'missed (KILLED' in room.warnings[2]


def test_a_cancelled_query_is_no_warning(room: Room) -> None:
    room.end(Miss(MissReason.CANCELLED, 'asked'))
    assert room.warnings == []
    assert 'CANCELLED' in room.logger.at('debug')[0]


def test_what_an_asker_has_written_makes_no_long_line(room: Room) -> None:
    room.log.ended(Origin(QueryKey('a' * 5000, 'x\ny')), KILLED, BILL)
    assert len(room.warnings[0]) < 400
    assert '\n' not in room.warnings[0]
