"""Replies are counted by how they ended, documents by the schema, times by the asker's clock."""

from typing import Any

import pytest

from benchmark.constraints.asker import Asked
from benchmark.constraints.documents import Tally, is_valid
from timebill_ros.core.outcome import MissReason
from timebill_ros.msg import DeadlineMiss, Response

SCHEMA = {'type': 'object', 'properties': {'x': {'type': 'integer'}}, 'required': ['x']}


@pytest.mark.parametrize(
    ('text', 'valid'), [('{"x": 1}', True), ('{"x": "1"}', False), ('{"x": 1', False), ('', False)]
)
def test_a_document_is_valid_if_it_parses_and_obeys(text: str, valid: bool) -> None:
    assert is_valid(text, SCHEMA) == valid


def summary(*asked: Asked) -> dict[str, Any]:
    tally = Tally()
    for one in asked:
        tally.add(one, SCHEMA)
    return tally.summary()


def killed(detail: str) -> DeadlineMiss:
    return DeadlineMiss(reason=MissReason.KILLED.value, detail=detail)


def test_a_document_that_is_not_valid_is_counted_and_shown() -> None:
    good = Response(text='{"x": 1}', finish_reason=Response.EOS)
    bad = Response(text='{}', finish_reason=Response.CLOSED, filled=['/x'])
    found = summary(Asked(good, 5, 4), Asked(bad, 5, 4))
    assert (found['n'], found['answered'], found['valid']) == (2, 2, 0.5)
    assert (found['broken'], found['filled']) == (['{}'], 1)
    assert found['outcomes'] == {'EOS': 1, 'CLOSED': 1}


def test_a_reply_is_on_time_only_if_it_came_before_the_deadline() -> None:
    reply = killed('')
    found = summary(Asked(reply, 5, 5), Asked(reply, 5, 2_000_005), Asked(None, 5))
    assert (found['n'], found['on_time']) == (3, pytest.approx(1 / 3))
    assert found['late_ms'] == [2.0]
    assert found['outcomes'] == {'KILLED': 2, 'LOST': 1}


def test_what_was_killed_for_want_of_a_value_is_told_apart() -> None:
    want = 'fill_missing is false, and required values without a default are missing: /x'
    found = summary(Asked(killed(want), 5, 4), Asked(killed('reading the prompt'), 5, 4))
    assert found['outcomes'] == {'KILLED, for want of a value': 1, 'KILLED': 1}
    assert found['valid'] is None
