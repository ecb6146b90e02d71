"""Each second of a generation is billed as what it was spent on, by a clock that is set."""

import pytest

from timebill_ros.core.bill import Bill
from timebill_ros.core.plan import Plan
from timebill_ros.inference.bill_recorder import BillRecorder
from timebill_ros.inference.give_way import GiveWay, Left

LEFT = Left(lambda: False, lambda: None)


class FakeClock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def planned(clock: FakeClock, kept_tokens: int) -> BillRecorder:
    """Return the recorder of a question of 10 tokens: 2 s of prefill, 0.5 s of waiting."""
    record = BillRecorder(10, clock=clock)
    clock.now_s += 2.0
    assert record.prefilled() == 2.0
    clock.now_s += 0.5
    record.predicted()
    plan = Plan(kept_tokens, 8, 1 - kept_tokens / 10, predicted_prefill_time_s=1.5)
    bill = record.planned(plan)
    assert (bill.prefill_time, bill.predictor_time) == (2.0, 0.5)
    assert (bill.kept_tokens, bill.predicted_prefill_time) == (kept_tokens, 1.5)
    return record


def test_a_whole_answer_is_billed_item_by_item(clock: FakeClock) -> None:
    record = planned(clock, 4)
    clock.now_s += 0.25
    record.evicted()
    for _ in range(3):
        clock.now_s += 1.0
        record.decoded()
    bill = record.ended(thinking_tokens=2)
    assert (bill.eviction_time, bill.decode_time, bill.response_tokens) == (0.25, 3.0, 3)
    assert bill.thinking_tokens == 2
    assert bill.total_time == 5.75


@pytest.mark.parametrize(
    ('kept_tokens', 'eviction_s', 'decode_s'), [(4, 0.25, 0.0), (10, 0.0, 0.25)]
)
def test_what_is_cut_off_after_the_plan_is_eviction_if_there_was_to_be_one(
    clock: FakeClock, kept_tokens: int, eviction_s: float, decode_s: float
) -> None:
    record = planned(clock, kept_tokens)
    clock.now_s += 0.25
    bill = record.ended()
    assert (bill.eviction_time, bill.decode_time) == (eviction_s, decode_s)
    assert (bill.response_tokens, bill.total_time) == (0, 2.75)


def test_a_prefill_that_is_cut_off_is_billed_as_prefill(clock: FakeClock) -> None:
    record = BillRecorder(10, clock=clock)
    clock.now_s += 2.0
    assert record.ended() == Bill(prompt_tokens=10, prefill_time=2.0, total_time=2.0)


def test_the_time_of_more_urgent_queries_counts_for_no_item(clock: FakeClock) -> None:
    waits_s = iter([8.0, 0.0, 16.0])

    def answer_urgent(_: Left) -> int:
        wait_s = next(waits_s)
        clock.now_s += wait_s
        return int(wait_s > 0)

    give_way = GiveWay(answer_urgent, clock)
    record = BillRecorder(10, give_way, clock)
    clock.now_s += 1.0
    give_way(LEFT)
    assert record.prefilled() == 1.0
    record.predicted()
    record.planned(Plan(10, 8, 0.0))
    clock.now_s += 0.5
    give_way(LEFT)
    clock.now_s += 0.25
    give_way(LEFT)
    bill = record.ended()
    assert (bill.prefill_time, bill.decode_time, bill.total_time) == (1.0, 0.75, 1.75)
    assert (bill.preemptions, bill.preempted_time) == (2, 24.0)


def test_an_eviction_in_the_middle_of_an_answer_is_billed_as_one(clock: FakeClock) -> None:
    record = planned(clock, 10)
    for _ in range(3):
        clock.now_s += 1.0
        record.decoded()
    clock.now_s += 0.125
    assert record.decode_s == 3.125
    record.evicting(4)
    clock.now_s += 0.25
    record.evicted()
    assert record.decode_s == 3.125
    for _ in range(2):
        clock.now_s += 0.5
        record.decoded()
    assert record.decode_s == 4.125
    bill = record.ended()
    assert (bill.eviction_time, bill.decode_time, bill.total_time) == (0.25, 4.125, 6.875)
    assert (bill.kept_tokens, bill.eviction_ratio) == (4, pytest.approx(0.6))
    assert record.mean_kept_tokens == 7  # two steps with 10, two with 4


@pytest.mark.parametrize('kept_tokens', [4, 10])
def test_what_was_evicted_before_the_first_token_was_so_in_every_step(
    clock: FakeClock, kept_tokens: int
) -> None:
    record = planned(clock, kept_tokens)
    for _ in range(3):
        record.decoded()
    assert record.mean_kept_tokens == kept_tokens
