"""What the benchmark of a remote engine counts as a violation of the contract."""

import pytest

from benchmark.remote.asker import Asked
from timebill_ros.msg import DeadlineMiss, Response

ANSWER, MISS = Response(backend='remote'), DeadlineMiss(reason=DeadlineMiss.KILLED)


@pytest.mark.parametrize(
    ('replies', 'is_violation', 'answered_by', 'outcome'),
    [
        ([(ANSWER, 9.9)], False, 'remote', 'ANSWERED'),
        ([(MISS, 9.9)], False, 'nobody', 'KILLED'),
        ([], True, 'nobody', 'LOST'),
        ([(ANSWER, 10.1)], True, 'remote', 'ANSWERED'),
        ([(ANSWER, 9.0), (MISS, 9.1)], True, 'remote', 'ANSWERED'),
    ],
)
def test_one_reply_by_the_deadline_is_none(
    replies: list, is_violation: bool, answered_by: str, outcome: str
) -> None:
    asked = Asked(deadline_s=10.0, replies=replies)
    assert (asked.is_violation, asked.answered_by, asked.outcome) == (
        is_violation,
        answered_by,
        outcome,
    )
