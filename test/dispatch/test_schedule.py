"""A job here takes 0.1 s for each token of its prompt, and writes one token."""

import itertools
import random

import pytest

from timebill_ros.core.time_model import TimeModel
from timebill_ros.dispatch.completion import Completion, Job, Moment
from timebill_ros.dispatch.schedule import Schedule

READER = Completion(TimeModel(a=0.0, b=0.1, c=0.0, p=0.0, q=0.01))
FREE = Moment(0.0)


def schedule(by_deadline: bool) -> Schedule:
    return Schedule(READER, 0.5, by_deadline, FREE)


def job(number: int, duration_s: float, last_moment_s: float) -> Job:
    return Job(number, round(duration_s * 10), (1,), last_moment_s)


def lost(waiting: list[Job], by_deadline: bool, newcomer: int | None = None) -> list[int]:
    found = schedule(by_deadline).given_up(waiting, newcomer)
    return [given_up.number for given_up in found]


def test_in_order_of_arrival_only_the_newcomer_is_tested() -> None:
    waiting = [job(0, 2.0, 1.0), job(1, 2.0, 9.0), job(2, 1.0, 4.05)]
    assert lost(waiting, False, newcomer=2) == []  # job 0 is cut off at 1.0
    assert lost([*waiting[:2], job(2, 1.0, 3.95)], False, newcomer=2) == [2]
    assert lost(waiting, False, newcomer=1) == []


def test_a_job_whose_turn_has_come_too_late_makes_way_for_the_next() -> None:
    assert lost([job(0, 2.0, 1.0), job(1, 2.0, 1.9), job(2, 1.0, 3.9)], False) == [0, 1]
    assert lost([job(0, 2.0, 3.0), job(1, 2.0, 1.0)], False) == []


def test_by_deadline_a_long_newcomer_does_not_end_three_short_ones() -> None:
    short = [job(number, 1.0, 4.0 + 0.1 * number) for number in range(3)]
    assert lost([job(9, 3.5, 3.9), *short], True, newcomer=9) == [9]


def test_by_deadline_a_short_newcomer_takes_the_place_of_a_long_one() -> None:
    short = [job(number, 1.0, 4.0 + 0.1 * number) for number in range(3)]
    assert lost([job(9, 1.0, 3.9), *short, job(5, 3.0, 6.5)], True, newcomer=9) == [5]


def test_by_deadline_as_many_stay_as_any_choice_could_keep() -> None:
    draw = random.Random(3)
    for _ in range(100):
        waiting = sorted(
            (
                job(number, draw.randint(1, 30) / 10, draw.randint(2, 60) / 10 + 0.05)
                for number in range(7)
            ),
            key=lambda job: job.last_moment_s,
        )
        stays = len(waiting) - len(lost(waiting, True))
        assert stays == max(
            size
            for size in range(8)
            if any(_all_in_time(chosen) for chosen in itertools.combinations(waiting, size))
        )


def _all_in_time(jobs: tuple[Job, ...]) -> bool:
    end_s = 0.0
    for of in jobs:
        end_s += 0.1 * of.prompt_tokens
        if end_s > of.last_moment_s + 1e-9:
            return False
    return True


@pytest.mark.parametrize('by_deadline', [False, True])
def test_with_what_would_be_enough_it_is_not_given_up(by_deadline: bool) -> None:
    ahead = [job(0, 1.0, 2.0), job(1, 1.0, 3.0), job(2, 1.0, 4.0), job(3, 1.0, 30.0)]
    late = job(9, 2.0, 2.5)
    waiting = sorted([*ahead, late], key=lambda of: of.last_moment_s if by_deadline else 0)
    assert lost(waiting, by_deadline, newcomer=9) == [9]
    enough_s = schedule(by_deadline).enough_until_s(late, ahead)
    for extra_s, expected in ((1e-3, []), (-2e-3, [9])):
        again = job(9, 2.0, enough_s + extra_s)
        waiting = sorted([*ahead, again], key=lambda of: of.last_moment_s if by_deadline else 0)
        assert lost(waiting, by_deadline, newcomer=9) == expected


def test_by_deadline_what_would_make_shorter_ones_late_needs_a_place_behind_them() -> None:
    short = [job(number, 1.0, 3.0 + 0.2 * number) for number in range(3)]
    long = job(9, 1.5, 1.0)
    assert lost([long, *short], True, newcomer=9) == [9]
    enough_s = schedule(True).enough_until_s(long, short)
    assert enough_s == pytest.approx(4.5, abs=1e-3)
    assert lost([*short, job(9, 1.5, enough_s + 1e-3)], True, newcomer=9) == []


def test_by_deadline_a_job_that_is_late_in_any_place_ends_no_other() -> None:
    text = Job(0, 1, (300,), 1.0, needed_share=0.1)  # 3 s for all of it, 0.4 s for enough
    hopeless = job(1, 2.0, 1.5)
    assert lost([text, hopeless], True) == [1]


def test_by_deadline_a_newcomer_costs_no_more_than_itself() -> None:
    draw = random.Random(5)
    completion = Completion(TimeModel(a=0.0, b=0.1, c=0.0, p=0.0, q=0.05, delta=0.9))
    for _ in range(3000):
        waiting = [
            Job(
                number,
                draw.randint(1, 10),
                tuple(sorted(draw.randint(1, 60) for _ in range(4))),
                draw.uniform(0.3, 9.0),
                needed_share=draw.choice([1.0, 1.0, 0.1]),
            )
            for number in range(6)
        ]
        waiting.sort(key=lambda of: of.last_moment_s)
        at = Schedule(completion, draw.choice([0.1, 0.5]), True, FREE)
        others = [of for of in waiting if of.number != 5]
        assert len(at.given_up(waiting, 5)) <= len(at.given_up(others)) + 1
