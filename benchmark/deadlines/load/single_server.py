"""Simulates one server with a queue and no refusals: how many it could serve. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

RESERVE_S = 0.02
"""The node's publish_reserve, as it is by default [s]."""


@dataclass(frozen=True)
class Job:
    """A query as a claim on the server; times in seconds.

    Arguments:
        arrival_s: when it comes.
        service_s: how long it takes, once it has the server.
        last_moment_s: by when it must have ended.
    """

    id: str
    arrival_s: float
    service_s: float
    last_moment_s: float


def served(jobs: Iterable[Job], by_deadline: bool, may_be_late: bool) -> dict[str, float]:
    """Return when each job ends that ends in time; the others are not in it.

    One job runs at a time, and is never pre-empted. At its last moment it is stopped; or, if it
    may be late, runs on, and whatever waits or comes until it ends is lost.

    Arguments:
        by_deadline: the earliest last moment is next, else the earliest arrival.
        may_be_late: the overrun policy is SKIP_NEXT.
    """
    coming = sorted(jobs, key=lambda job: job.arrival_s)
    waiting: list[Job] = []
    ends: dict[str, float] = {}
    now_s = 0.0
    while coming or waiting:
        if not waiting:
            now_s = max(now_s, coming[0].arrival_s)
        while coming and coming[0].arrival_s <= now_s:
            waiting.append(coming.pop(0))
        waiting = [job for job in waiting if job.last_moment_s > now_s]
        if not waiting:
            continue
        job = min(waiting, key=lambda job: job.last_moment_s if by_deadline else job.arrival_s)
        waiting.remove(job)
        end_s = now_s + job.service_s
        if end_s <= job.last_moment_s:
            ends[job.id] = now_s = end_s
        elif may_be_late:
            now_s, waiting = end_s, []
            coming = [other for other in coming if other.arrival_s >= end_s]
        else:
            now_s = job.last_moment_s
    return ends
