"""Times here: reading a token takes 0.1 s, writing one 0.01 s; 101 are expected."""

import pytest

from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.time_model import TimeModel
from timebill_ros.dispatch.backlog import Backlog, Job
from timebill_ros.dispatch.response_lengths import ResponseLengths

READER = BudgetPlanner(time_model=TimeModel(a=0.0, b=0.1, c=0.0, p=0.0, q=0.01))


def backlog(by_deadline: bool = False, planner: BudgetPlanner = READER) -> Backlog:
    lengths = ResponseLengths()
    lengths.observe(101)
    return Backlog(planner, lengths, by_deadline)


def job(number: int, last_moment_s: float, prompt_tokens: int = 10, **values: object) -> Job:
    return Job(number, prompt_tokens, 202, last_moment_s, **values)  # type: ignore[arg-type]


def refused(waiting: list[Job], free_at_s: float = 0.0, by_deadline: bool = False) -> list[int]:
    return [found.number for found in backlog(by_deadline).hopeless(waiting, free_at_s)]


def test_a_job_counts_what_is_ahead_with_the_expected_length() -> None:
    # Each takes 1 s to read and 1 s to write: the third's first token comes after 5 s.
    assert refused([job(0, 99.0), job(1, 99.0), job(2, 5.01)]) == []
    assert refused([job(0, 99.0), job(1, 99.0), job(2, 4.99)]) == [2]


def test_what_is_ahead_takes_no_longer_than_to_its_own_last_moment() -> None:
    assert refused([job(0, 1.5), job(1, 2.51)]) == []
    assert refused([job(0, 1.5), job(1, 2.49)]) == [1]


def test_what_may_be_late_takes_all_its_time() -> None:
    assert refused([job(0, 1.5, may_be_late=True), job(1, 2.99)]) == [1]
    assert refused([job(0, 1.5, may_be_late=True), job(1, 3.01)]) == []


def test_what_is_hopeless_itself_takes_no_time_from_others() -> None:
    assert refused([job(0, 0.9), job(1, 1.1)]) == [0]


def test_a_job_of_unknown_length_is_neither_refused_nor_counted() -> None:
    assert refused([job(0, 0.1, prompt_tokens=0), job(1, 1.1)]) == []


def test_without_a_time_model_only_what_has_no_time_left_is_refused() -> None:
    waiting = [job(0, 5.0), job(1, 0.5), job(2, -0.5)]
    found = backlog(planner=BudgetPlanner()).hopeless(waiting, 0.0)
    assert [hopeless.number for hopeless in found] == [2]


@pytest.mark.parametrize(
    ('progress', 'free_at_s'),
    [
        ({}, 10.0 + 2.0),
        ({'kept_tokens': 10}, 11.5 + 1.0),  # read: all of the writing is to come
        ({'kept_tokens': 10, 'response_tokens': 51}, 11.5 + 0.5),
        ({'kept_tokens': 10, 'response_tokens': 150}, 11.5),  # longer than expected: any moment
    ],
)
def test_a_running_job_leaves_when_the_rest_of_it_is_done(
    progress: dict[str, int], free_at_s: float
) -> None:
    running = job(0, 99.0, started_at_s=10.0, **progress)
    assert backlog().free_at_s(running, 11.5) == pytest.approx(free_at_s)


def test_a_running_job_leaves_at_its_last_moment_unless_it_may_be_late() -> None:
    assert backlog().free_at_s(job(0, 11.7, started_at_s=10.0), 11.5) == 11.7
    late = job(0, 11.7, started_at_s=10.0, may_be_late=True)
    assert backlog().free_at_s(late, 11.5) == pytest.approx(12.0)


def test_in_order_of_arrival_more_time_would_not_mean_a_later_turn() -> None:
    (found,) = backlog().hopeless([job(0, 99.0), job(1, 2.5), job(2, 99.0)], 0.0)
    assert (found.number, found.turn_s, found.later_turn_s) == pytest.approx((1, 2.0, 2.0))


def test_by_deadline_more_time_is_asked_for_when_others_then_go_first() -> None:
    # Behind the hopeless one: one with which it would change places, and one with which not.
    waiting = [job(0, 0.5), job(1, 0.9, prompt_tokens=5), job(2, 99.0)]
    (found,) = backlog(by_deadline=True).hopeless(waiting, 0.0)
    assert (found.number, found.turn_s) == (0, 0.0)
    assert found.later_turn_s == pytest.approx(0.9)
    # With just enough for that turn, it is admitted.
    enough = job(0, found.later_turn_s + 1.0 + 1e-6)
    assert refused([job(1, 0.9, prompt_tokens=5), enough, job(2, 99.0)], by_deadline=True) == []
