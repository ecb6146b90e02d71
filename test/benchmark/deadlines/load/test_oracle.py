import itertools
import random

from benchmark.deadlines.load.oracle import most_in_any_order, most_in_order_of_arrival
from benchmark.deadlines.load.single_server import Job, served


def drawn(seed: int, count: int) -> list[Job]:
    draw = random.Random(seed)
    jobs = []
    for number in range(count):
        arrival_s, service_s = draw.uniform(0.0, 4.0), draw.uniform(0.2, 2.0)
        last_moment_s = arrival_s + service_s * draw.uniform(1.2, 5.0)
        jobs.append(Job(str(number), arrival_s, service_s, last_moment_s))
    return jobs


def all_on_time(sequence: tuple[Job, ...]) -> bool:
    now_s = 0.0
    for job in sequence:
        now_s = max(now_s, job.arrival_s) + job.service_s
        if now_s > job.last_moment_s:
            return False
    return True


def test_in_order_of_arrival_no_choice_is_better() -> None:
    for seed in range(40):
        jobs = sorted(drawn(seed, 8), key=lambda job: job.arrival_s)
        best = max(
            size
            for size in range(9)
            if any(all_on_time(chosen) for chosen in itertools.combinations(jobs, size))
        )
        assert most_in_order_of_arrival(jobs) == best


def test_in_any_order_no_sequence_is_better() -> None:
    for seed in range(12):
        jobs = drawn(seed, 6)
        best = max(
            size
            for size in range(7)
            if any(all_on_time(chosen) for chosen in itertools.permutations(jobs, size))
        )
        # A schedule that waits for a job to come is not looked for: one short in few cases.
        assert best - 1 <= most_in_any_order(jobs) <= best


def test_an_oracle_serves_at_least_what_one_server_does() -> None:
    for seed in range(20):
        jobs = drawn(seed, 20)
        for by_deadline in (False, True):
            assert most_in_any_order(jobs) >= len(served(jobs, by_deadline, may_be_late=False))
