"""Times here: reading a token takes 0.1 s, writing one 0.01 s."""

import math

import pytest

from timebill_ros.core.time_model import TimeModel
from timebill_ros.dispatch.completion import Completion, Job, Moment

READER = TimeModel(a=0.0, b=0.1, c=0.0, p=0.0, q=0.01)
EXACT = Completion(READER)
NOISY = Completion(TimeModel(a=0.0, b=0.1, c=0.0, p=0.0, q=0.01, delta=0.5))


def job(last_moment_s: float = 99.0, lengths: tuple[int, ...] = (101,), **values: object) -> Job:
    return Job(0, 10, lengths, last_moment_s, **values)  # type: ignore[arg-type]


def free_at(completion: Completion, running: Job) -> Moment:
    return completion.free_at([completion.begun(running, 11.5)], 11.5)


def test_a_job_takes_reading_and_the_mean_of_its_likely_lengths() -> None:
    assert EXACT.expected_s(job()) == pytest.approx(2.0)
    assert EXACT.expected_s(job(lengths=(1, 201))) == pytest.approx(2.0)
    assert EXACT.after(job(lengths=(1, 201)), Moment(5.0)).mean_s == pytest.approx(7.0)
    assert EXACT.after(job(lengths=(1, 201)), Moment(5.0)).variance == pytest.approx(1.0)


def test_tokens_that_are_guessed_take_less_than_a_step() -> None:
    assert EXACT.expected_s(job(steps_per_token=0.25)) == pytest.approx(1.25)
    assert EXACT.expected_s(job()) == pytest.approx(2.0)
    # 41 of 101 tokens are there; the other 60 take 15 steps.
    half = job(steps_per_token=0.25, started_at_s=10.0, kept_tokens=10, response_tokens=41)
    assert free_at(EXACT, half).mean_s == pytest.approx(11.5 + 0.15)


def test_a_job_leaves_at_its_last_moment_unless_it_may_be_late() -> None:
    assert EXACT.after(job(6.5), Moment(5.0)) == Moment(6.5)
    assert EXACT.after(job(6.5, may_be_late=True), Moment(5.0)).mean_s == pytest.approx(7.0)
    assert EXACT.after(job(4.0), Moment(5.0)) == Moment(5.0)


def test_the_probability_is_the_share_of_the_lengths_that_fit() -> None:
    lengths = (1, 51, 101, 201)  # 1.0, 1.5, 2.0, 3.0 s
    for left_s, share in ((0.9, 0.0), (1.1, 0.25), (1.6, 0.5), (2.9, 0.75), (3.1, 1.0)):
        assert EXACT.probability(job(10.0 + left_s, lengths), Moment(10.0)) == share


def test_times_that_vary_make_it_less_sure() -> None:
    turn = Moment(10.0)
    assert NOISY.probability(job(12.0), turn) == pytest.approx(0.5)
    # The margin delta, 50 %, holds for 99 % of all.
    assert NOISY.probability(job(13.0), turn) == pytest.approx(0.99, abs=0.001)
    bound = Completion(TimeModel(a=0.0, b=0.1, c=0.0, p=0.0, q=0.01, delta=0.5, bound_spreads=3.0))
    assert bound.probability(job(13.0), turn) == pytest.approx(0.99865, abs=0.0001)
    assert NOISY.probability(job(12.5), Moment(10.0, 1.0)) < NOISY.probability(job(12.5), turn)


def test_of_an_answer_of_which_a_share_will_do_less_time_is_needed() -> None:
    assert EXACT.probability(job(11.6), Moment(10.0)) == 0.0
    assert EXACT.probability(job(11.6, needed_share=0.5), Moment(10.0)) == 1.0
    # But it holds the backend for as long.
    assert EXACT.after(job(needed_share=0.5), Moment(5.0)).mean_s == pytest.approx(7.0)


def test_thinking_is_no_share_of_an_answer() -> None:
    # Of 101 tokens, 61 are thinking: half an answer comes after 81, 1.8 s from its turn.
    thinks = job(11.7, needed_share=0.5, thinking_tokens=61)
    assert EXACT.probability(thinks, Moment(10.0)) == 0.0
    assert EXACT.probability(thinks, Moment(10.0), 11.81) == 1.0
    whole = job(11.9, needed_share=0.5, thinking_tokens=500)
    assert EXACT.probability(whole, Moment(10.0)) == 0.0
    assert EXACT.probability(whole, Moment(10.0), 12.01) == 1.0


@pytest.mark.parametrize('completion', [EXACT, NOISY])
@pytest.mark.parametrize('probability', [0.1, 0.5, 0.9])
def test_what_is_enough_is_admitted_and_little_less_is_not(
    completion: Completion, probability: float
) -> None:
    of, turn = job(lengths=(1, 51, 101, 201)), Moment(10.0, 0.01)
    enough_s = completion.in_time_from_s(of, turn, probability)
    assert completion.probability(of, turn, enough_s) >= probability
    assert completion.probability(of, turn, enough_s - 1e-3) < probability


@pytest.mark.parametrize(
    ('progress', 'free_at_s'),
    [
        ({}, 10.0 + 2.0),
        ({'kept_tokens': 10}, 11.5 + 1.0),  # read: all of the writing is to come
        ({'kept_tokens': 10, 'response_tokens': 51}, 11.5 + 0.5),
        ({'kept_tokens': 10, 'response_tokens': 150}, 11.5),  # longer than any known: any moment
    ],
)
def test_a_running_job_leaves_when_the_rest_of_it_is_done(
    progress: dict[str, int], free_at_s: float
) -> None:
    running = job(started_at_s=10.0, **progress)
    assert free_at(EXACT, running).mean_s == pytest.approx(free_at_s)


def test_a_running_answer_is_none_of_those_that_would_have_ended_by_now() -> None:
    running = job(lengths=(21, 41, 101), started_at_s=10.0, kept_tokens=10, response_tokens=51)
    assert free_at(EXACT, running) == Moment(pytest.approx(12.0), pytest.approx(0.0))


def test_a_running_job_leaves_at_its_last_moment_unless_it_may_be_late() -> None:
    assert free_at(EXACT, job(11.7, started_at_s=10.0)) == Moment(11.7)
    late = job(11.7, started_at_s=10.0, may_be_late=True)
    assert free_at(EXACT, late).mean_s == pytest.approx(12.0)


def test_without_a_time_model_nothing_takes_any_time() -> None:
    blind = Completion(None)
    assert free_at(blind, job(started_at_s=10.0)) == Moment(11.5)
    assert blind.after(job(), Moment(5.0)) == Moment(5.0)
    assert blind.probability(job(5.1), Moment(5.0)) == 1.0
    assert blind.probability(job(4.9), Moment(5.0)) == 0.0
    assert blind.in_time_from_s(job(), Moment(5.0), 0.5) == 5.0
    assert math.isclose(blind.expected_s(job()), 0.0)
