"""Which waiting queries to give up, so that as many as possible are completed. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from timebill_ros.dispatch.completion import Completion, Job, Moment


@dataclass(frozen=True)
class GivenUp:
    """A waiting job that is not expected to be completed.

    Arguments:
        number: the job's.
        turn: when its turn is predicted to come.
        enough_until_s: the earliest last moment that would be admitted now [s].
    """

    number: int
    turn: Moment
    enough_until_s: float


@dataclass(frozen=True)
class Schedule:
    """Plays the queue through.

    A job is given up if it is completed by its last moment with less than a probability.

    Arguments:
        completion: predicts when jobs end.
        probability: the least that is accepted, in (0, 1).
        by_deadline: the queue's order is that of the last moments.
    """

    completion: Completion
    probability: float
    by_deadline: bool

    def given_up(
        self,
        waiting: Sequence[Job],
        free_at: Moment,
        newcomer: int | None = None,
        is_free: bool = False,
    ) -> list[GivenUp]:
        """Return the jobs to give up.

        In order of arrival, only the newcomer is tested, or without one, the job whose turn it is:
        nobody loses a place to a later one. In order of deadlines, a newcomer goes before others.
        When one is late then, the longest up to there is given up, which leaves the most jobs on
        time (Moore and Hodgson 1968).

        Arguments:
            waiting: in the queue's order.
            free_at: when the backend can begin with the first.
            newcomer: the number of the job that has just come; None: the turn of the first has.
            is_free: nothing runs. Then one job stays, the likeliest: it costs nobody anything.
        """
        if self.by_deadline:
            lost = self._moore_hodgson(waiting, free_at)
        else:
            lost = self._tested_alone(waiting, free_at, newcomer)
        if is_free and waiting and len(lost) == len(waiting):
            lost.remove(max(lost, key=lambda job: self.completion.probability(job, free_at)))
        return [self._given_up(job, waiting, lost, free_at) for job in lost]

    def _tested_alone(
        self, waiting: Sequence[Job], free_at: Moment, newcomer: int | None
    ) -> list[Job]:
        turn, lost = free_at, []
        for job in waiting:
            is_tested = newcomer is None or job.number == newcomer
            if is_tested and not self._is_in_time(job, turn):
                lost.append(job)
            elif newcomer is None:
                break  # it is the one whose turn it is
            else:
                turn = self.completion.after(job, turn)
        return lost

    def _moore_hodgson(self, waiting: Sequence[Job], free_at: Moment) -> list[Job]:
        kept: list[Job] = []
        lost: list[Job] = []
        turn = free_at
        for job in waiting:
            kept.append(job)
            while kept and kept[-1] is job and not self._is_in_time(job, turn):
                # Among equals the last to come.
                longest = max(kept, key=lambda of: (self.completion.expected_s(of), of.number))
                kept.remove(longest)
                lost.append(longest)
                turn = self._turn_after(kept[:-1] if kept and kept[-1] is job else kept, free_at)
            if kept and kept[-1] is job:
                turn = self.completion.after(job, turn)
        return lost

    def _turn_after(self, jobs: Sequence[Job], free_at: Moment) -> Moment:
        turn = free_at
        for job in jobs:
            turn = self.completion.after(job, turn)
        return turn

    def _is_in_time(self, job: Job, turn: Moment) -> bool:
        return self.completion.probability(job, turn) >= self.probability

    def _given_up(
        self, job: Job, waiting: Sequence[Job], lost: Sequence[Job], free_at: Moment
    ) -> GivenUp:
        """Say when its turn comes, and what would have been enough, behind those that stay."""
        others = [other for other in waiting if other not in lost]
        ahead = others
        if self.by_deadline:
            ahead = [other for other in others if other.last_moment_s <= job.last_moment_s]
        elif job in waiting:
            ahead = [other for other in waiting[: waiting.index(job)] if other in others]
        turn = self._turn_after(ahead, free_at)
        enough_s = self.completion.in_time_from_s(job, turn, self.probability)
        if self.by_deadline:
            # With more time it comes behind others: those, in their turn, make it later.
            for other in others[len(ahead) :]:
                if other.last_moment_s > enough_s:
                    break
                later = self.completion.after(other, self._turn_after(ahead, free_at))
                ahead = [*ahead, other]
                enough_s = self.completion.in_time_from_s(job, later, self.probability)
        return GivenUp(job.number, turn, enough_s)
