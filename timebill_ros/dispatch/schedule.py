"""Which waiting queries to give up, so that as many as possible are completed. Pure."""

import bisect
import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from timebill_ros.dispatch.completion import Completion, Job, Moment

_ROUNDING_S = 2e-3
"""A minimum time budget is rounded up to whole milliseconds."""


@dataclass(frozen=True)
class Schedule:
    """Plays the queue through.

    A job is given up if it is completed by its last moment with less than a probability.

    Arguments:
        completion: predicts when jobs end.
        probability: the least that is accepted, from 0.01 to 0.99.
        by_deadline: the queue's order is that of the last moments.
        free_at: when the backend can begin with the first.
        is_free: nothing runs. Then one job stays, the likeliest: it costs nobody anything.
    """

    completion: Completion
    probability: float
    by_deadline: bool
    free_at: Moment
    is_free: bool = False

    def given_up(self, waiting: Sequence[Job], newcomer: int | None = None) -> list[Job]:
        """Return the jobs to give up.

        In order of arrival, only the newcomer is tested, or without one, the job whose turn it is:
        nobody loses a place to a later one. In order of deadlines, a newcomer goes before others.
        When one is late then, the longest up to there is given up, which leaves the most jobs on
        time (Moore and Hodgson 1968).

        Arguments:
            waiting: in the queue's order.
            newcomer: the number of the job that has just come; None: the turn of the first has.
        """
        if self.by_deadline:
            lost = self._fewest_lost(waiting, newcomer)
        else:
            lost = self._tested_alone(waiting, newcomer)
        if self.is_free and waiting and len(lost) == len(waiting):
            lost.remove(max(lost, key=lambda job: self.completion.probability(job, self.free_at)))
        return lost

    def turn(self, job: Job, others: Sequence[Job]) -> Moment:
        """Return when a job's turn would come among others that stay."""
        if self.by_deadline:
            ahead = [other for other in others if other.last_moment_s <= job.last_moment_s]
        else:
            ahead = [other for other in others if other.number < job.number]
        return self._turn_after(ahead)

    def enough_until_s(self, job: Job, others: Sequence[Job]) -> float:
        """Return about the earliest last moment with which a job is accepted, asked again now [s].

        Arguments:
            job: it has been given up.
            others: those that stay, in the queue's order.
        """
        if not self.by_deadline or not others:
            # It comes behind all others.
            turn = self._turn_after(others)
            return self.completion.in_time_from_s(job, turn, self.probability)
        # With more time it comes behind others, and makes fewer of them late. Behind all, it
        # makes none late.
        again = dataclasses.replace(job, number=1 + max(other.number for other in others))
        turns = [self.free_at]
        for other in others:
            turns.append(self.completion.after(other, turns[-1]))
        behind, most = 0, len(others)
        while behind < most:
            middle = (behind + most) // 2
            if self._stays(again, others, middle, turns[middle]):
                most = middle
            else:
                behind = middle + 1
        return self._until_s(again, others, behind, turns[behind])

    def _stays(self, job: Job, others: Sequence[Job], behind: int, turn: Moment) -> bool:
        """Return whether a job is accepted behind so many others."""
        until_s = self._until_s(job, others, behind, turn)
        if until_s + _ROUNDING_S >= others[behind].last_moment_s:
            return False  # it would not come before that one
        for end_s in (until_s, until_s + _ROUNDING_S):
            newcomer = dataclasses.replace(job, last_moment_s=end_s)
            line = [*others[:behind], newcomer, *others[behind:]]
            if newcomer in self._fewest_lost(line, job.number):
                return False
        return True

    def _until_s(self, job: Job, others: Sequence[Job], behind: int, turn: Moment) -> float:
        until_s = self.completion.in_time_from_s(job, turn, self.probability)
        return max(until_s, others[behind - 1].last_moment_s) if behind else until_s

    def _tested_alone(self, waiting: Sequence[Job], newcomer: int | None) -> list[Job]:
        turn, lost = self.free_at, []
        for job in waiting:
            is_tested = newcomer is None or job.number == newcomer
            if is_tested and not self._is_in_time(job, turn):
                lost.append(job)
            elif is_tested:
                break
            else:
                turn = self.completion.after(job, turn)
        return lost

    def _fewest_lost(self, waiting: Sequence[Job], newcomer: int | None) -> list[Job]:
        """Return what is given up; never more than if the newcomer alone were refused."""
        lost = self._moore_hodgson(waiting)
        new = [job for job in waiting if job.number == newcomer]
        if new and len(lost) > 1:
            # Moore and Hodgson's proof is of times that are certain. These are not.
            without = self._moore_hodgson([job for job in waiting if job.number != newcomer])
            if len(without) + 1 < len(lost):
                return [*without, *new]
        return lost

    def _moore_hodgson(self, waiting: Sequence[Job]) -> list[Job]:
        kept: list[Job] = []
        longest_first: list[tuple[float, int]] = []
        lost: list[Job] = []
        turn = self.free_at
        for job in waiting:
            if not self._is_in_time(job, self.free_at):
                lost.append(job)  # no other's leaving would help it
                continue
            kept.append(job)
            bisect.insort(longest_first, self._size(job))
            while kept and kept[-1] is job and not self._is_in_time(job, turn):
                size = longest_first.pop()
                longest = next(of for of in kept if of.number == size[1])
                kept.remove(longest)
                lost.append(longest)
                if longest is not job:
                    turn = self._turn_after(kept[:-1])
            if kept and kept[-1] is job:
                turn = self.completion.after(job, turn)
        return lost

    def _turn_after(self, jobs: Iterable[Job]) -> Moment:
        turn = self.free_at
        for job in jobs:
            turn = self.completion.after(job, turn)
        return turn

    def _size(self, job: Job) -> tuple[float, int]:
        # Among equals, the last to come goes.
        return self.completion.expected_s(job), job.number

    def _is_in_time(self, job: Job, turn: Moment) -> bool:
        return self.completion.is_likely(job, turn, self.probability)
