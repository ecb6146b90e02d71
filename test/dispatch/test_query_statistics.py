"""Which ends of queries count as misses, and for how long."""

from dataclasses import replace

import pytest

from timebill_ros.core.bill import Bill
from timebill_ros.core.outcome import Answer, FinishReason, Miss, MissReason, Outcome
from timebill_ros.dispatch.query_statistics import NODE_MISSES, WINDOW, QueryStatistics

IN_TIME = Answer('text', FinishReason.EOS)
LATE = Answer('text', FinishReason.EOS, deadline_met=False)
MISSED = Miss(MissReason.KILLED, '')


class FakeClock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def counted(*outcomes: Outcome) -> QueryStatistics:
    statistics = QueryStatistics(FakeClock())
    for outcome in outcomes:
        statistics.count(outcome, Bill(total_time=0.5))
    return statistics


@pytest.mark.parametrize('reason', MissReason)
def test_only_the_nodes_misses_count(reason: MissReason) -> None:
    summary = counted(Miss(reason, '')).summary()
    assert summary.misses == summary.queries == (1 if reason in NODE_MISSES else 0)
    assert dict(summary.missed)[reason] == 1


def test_the_askers_faults_neither_count_nor_end_a_series() -> None:
    summary = counted(MISSED, Miss(MissReason.CANCELLED, ''), MISSED).summary()
    assert (summary.queries, summary.consecutive_misses) == (2, 2)


def test_a_late_answer_is_a_miss_and_one_in_time_ends_the_series() -> None:
    assert counted(MISSED, LATE).summary().consecutive_misses == 2
    summary = counted(MISSED, LATE, IN_TIME).summary()
    assert summary.consecutive_misses == 0
    assert summary.miss_rate == pytest.approx(2 / 3)
    assert summary.answered == 2


def test_the_rate_is_of_the_last_hundred() -> None:
    assert counted(*[MISSED] * 50, *[IN_TIME] * (WINDOW - 10)).summary().miss_rate == 0.1


def test_a_series_lasts_from_its_first_miss_to_its_last() -> None:
    clock = FakeClock()
    statistics = QueryStatistics(clock)
    statistics.count(MISSED, Bill())
    clock.now_s += 3.0
    statistics.count(MISSED, Bill())
    clock.now_s += 60.0  # nothing is asked
    assert statistics.summary().missing_for_s == 3.0
    statistics.count(IN_TIME, Bill())
    assert statistics.summary().missing_for_s == 0.0


def test_only_what_the_model_worked_on_has_a_time() -> None:
    statistics = counted(IN_TIME, MISSED, Miss(MissReason.CANCELLED, ''))
    statistics.count(Miss(MissReason.QUEUE_FULL, ''), Bill())
    assert statistics.summary().total_times_s == (0.5, 0.5)


def test_errors_of_estimates_are_kept() -> None:
    statistics = QueryStatistics()
    for error in (0.1, 0.0, -0.2):
        statistics.count_estimate(error)
    assert statistics.summary().estimate_errors == (0.1, -0.2)


def test_kinds_rates_and_times_are_told() -> None:
    clock = FakeClock()
    statistics = QueryStatistics(clock)
    assert statistics.summary().quiet_s == 0.0
    clock.now_s += 10.0
    bill = Bill(time_budget=5.0, slack=3.0, cached_tokens=30, prompt_tokens=40)
    statistics.count(IN_TIME, bill)
    statistics.count(LATE, replace(bill, slack=-1.0, cached_tokens=0))
    statistics.count(MISSED, bill)
    clock.now_s += 2.0
    statistics.count(Miss(MissReason.CANCELLED, ''), bill)
    summary = statistics.summary()
    assert (summary.answered, summary.answered_late) == (2, 1)
    assert summary.response_times_s == (2.0, 6.0)
    assert summary.cached_share == pytest.approx(30 / 80)
    assert summary.quiet_s == 2.0  # since the last one that counts
    assert summary.rates == pytest.approx(
        dict.fromkeys(('answered', 'answered_late', 'missed_killed', 'missed_cancelled'), 1 / 12)
    )
