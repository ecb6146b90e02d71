"""How many queries could have been answered on time, with all arrivals and times known before.

One query runs at a time, and is never preempted. In any order the largest number is hard to find
(1 | r_j | sum U_j is NP-hard): the best of a seeded local search stands for it, and the true one
may be larger. In the order of arrival, it is found exactly.
"""

import random
from collections.abc import Sequence

from benchmark.deadlines.load.single_server import Job

_MOVES = 2000


def most_in_order_of_arrival(jobs: Sequence[Job]) -> int:
    """Return the most jobs on time, if a job never starts before one that came earlier.

    By dynamic programming over the jobs: for each number that is on time, the earliest end.
    """
    ends_s = {0: 0.0}
    for job in sorted(jobs, key=lambda job: job.arrival_s):
        for count, end_s in sorted(ends_s.items(), reverse=True):
            later_s = max(end_s, job.arrival_s) + job.service_s
            if later_s <= min(job.last_moment_s, ends_s.get(count + 1, job.last_moment_s)):
                ends_s[count + 1] = later_s
    return max(ends_s)


def most_in_any_order(jobs: Sequence[Job], seed: int = 0) -> int:
    """Return the most jobs on time that a local search finds.

    It begins with greedy choices (shortest first, earliest deadline first, least slack first, by
    arrival), then adds, exchanges and drops jobs at random.
    """
    draw = random.Random(seed)
    best: list[Job] = []
    for key in (
        lambda job: job.service_s,
        lambda job: job.last_moment_s,
        lambda job: job.last_moment_s - job.arrival_s - job.service_s,
        lambda job: job.arrival_s,
    ):
        chosen: list[Job] = []
        for job in sorted(jobs, key=key):
            if _all_on_time([*chosen, job]):
                chosen.append(job)
        best = max(best, chosen, key=len)
    for _ in range(_MOVES):
        others = [job for job in jobs if job not in best]
        if not others:
            break
        added = [*best, draw.choice(others)]
        if _all_on_time(added):
            best = added
        elif best:
            exchanged = list(added)
            exchanged.remove(draw.choice(best))
            if _all_on_time(exchanged):
                best = exchanged
    return max(len(best), most_in_order_of_arrival(jobs))


def _all_on_time(jobs: Sequence[Job]) -> bool:
    """Whether the earliest deadline first, of what has come, meets all of them."""
    coming = sorted(jobs, key=lambda job: job.arrival_s, reverse=True)
    waiting: list[Job] = []
    now_s = 0.0
    while coming or waiting:
        if not waiting:
            now_s = max(now_s, coming[-1].arrival_s)
        while coming and coming[-1].arrival_s <= now_s:
            waiting.append(coming.pop())
        job = min(waiting, key=lambda job: job.last_moment_s)
        waiting.remove(job)
        now_s += job.service_s
        if now_s > job.last_moment_s:
            return False
    return True
