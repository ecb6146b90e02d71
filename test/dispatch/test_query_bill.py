"""What a query costs as the node sees it, until the backend says so itself."""

from typing import Any

import pytest

from timebill_ros.core.bill import Bill
from timebill_ros.core.deadline import Deadline
from timebill_ros.core.outcome import OverrunPolicy
from timebill_ros.core.plan import Plan
from timebill_ros.core.query import Origin, Query, QueryKey
from timebill_ros.dispatch.query_bill import QueryBill

QUERY = Query(Origin(QueryKey('a', 'q')), '?', '', 8, OverrunPolicy.KILL, 100.0, Deadline(110.0))


def of(bill: Bill, *names: str) -> list[Any]:
    return [getattr(bill, name) for name in names]


@pytest.fixture
def bill() -> QueryBill:
    return QueryBill(QUERY)


@pytest.fixture
def running(bill: QueryBill) -> QueryBill:
    bill.tokenised(20)
    bill.started(101.0)
    return bill


def planned(bill: QueryBill, kept_tokens: int) -> None:
    """Have 2 s of prefill end, and a plan made."""
    ratio = 1 - kept_tokens / 20
    bill.planned(
        Bill(prompt_tokens=20, kept_tokens=kept_tokens, prefill_time=1.9, eviction_ratio=ratio),
        103.0,
    )


def test_a_refused_query_has_a_budget_and_a_slack_only(bill: QueryBill) -> None:
    assert bill.at_refusal(100.5) == Bill(time_budget=10.0, slack=9.5)


def test_what_waits_is_billed_its_waiting(bill: QueryBill) -> None:
    bill.tokenised(20)
    expected = Bill(time_budget=10.0, slack=-1.0, queue_time=11.0, prompt_tokens=20)
    assert bill.at_reply(111.0) == expected


def test_what_would_have_been_expected_is_billed_but_nothing_was_kept(bill: QueryBill) -> None:
    bill.tokenised(20)
    bill.expected(
        Plan(kept_tokens=10, max_new_tokens=8, eviction_ratio=0.5, worst_case_time_s=3.0)
    )
    at_reply = bill.at_reply(101.0)
    assert of(at_reply, 'worst_case_time', 'kept_tokens', 'eviction_ratio') == [3.0, 0, 0.0]


def test_cut_off_while_it_reads_is_prefill(running: QueryBill) -> None:
    at_reply = running.at_reply(104.0)
    assert of(at_reply, 'queue_time', 'prefill_time', 'total_time') == [1.0, 3.0, 3.0]


TIMES = ('prefill_time', 'eviction_time', 'decode_time', 'total_time')


def test_cut_off_while_it_writes_is_decoding(running: QueryBill) -> None:
    planned(running, 20)
    running.written(1, 103.5)
    at_reply = running.at_reply(105.0)
    assert of(at_reply, *TIMES) == [1.9, 0.0, 2.0, 4.0]
    assert of(at_reply, 'queue_time', 'response_tokens') == [1.0, 1]


def test_cut_off_during_the_eviction_is_eviction(running: QueryBill) -> None:
    planned(running, 10)
    assert of(running.at_reply(103.5), *TIMES) == [1.9, 0.5, 0.0, 2.5]


def test_the_eviction_has_ended_when_there_is_text(running: QueryBill) -> None:
    planned(running, 10)
    running.written(1, 103.5)
    running.written(2, 104.0)
    assert of(running.at_reply(105.0), *TIMES) == [1.9, 0.5, 1.5, 4.0]


def test_the_backends_own_bill_stands_but_for_the_waiting(running: QueryBill) -> None:
    planned(running, 10)
    own = Bill(prompt_tokens=20, kept_tokens=10, prefill_time=1.0, decode_time=2.0, total_time=3.0)
    running.finished(own)
    at_reply = running.at_reply(105.0)
    assert of(at_reply, *TIMES) == [1.0, 0.0, 2.0, 3.0]
    assert of(at_reply, 'time_budget', 'queue_time', 'slack') == [10.0, 1.0, 5.0]
