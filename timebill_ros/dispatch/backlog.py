"""When will a query's turn come, and is it in vain to wait for it? Pure: no clock, no model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.dispatch.response_lengths import ResponseLengths


@dataclass(frozen=True)
class Job:
    """A query that waits or runs.

    Arguments:
        number: the query's.
        prompt_tokens: N_x; 0: not known yet. Such a job takes no time, and is never hopeless.
        max_new_tokens: upper bound of the response's length.
        last_moment_s: when it must end [s].
        may_be_late: once it runs, it holds the backend beyond its last moment (SKIP_NEXT).
        started_at_s: when it began to run [s]; None: it waits.
        kept_tokens, response_tokens: what it has come to; kept_tokens 0: it reads its prompt.
    """

    number: int
    prompt_tokens: int
    max_new_tokens: int
    last_moment_s: float
    may_be_late: bool = False
    started_at_s: float | None = None
    kept_tokens: int = 0
    response_tokens: int = 0


@dataclass(frozen=True)
class Hopeless:
    """A job whose first token cannot come by its last moment.

    Arguments:
        turn_s: when its turn is predicted to come [s].
        later_turn_s: when it would come if the job had just enough time; later than turn_s where
            the order goes by deadlines [s].
    """

    number: int
    turn_s: float
    later_turn_s: float


@dataclass(frozen=True)
class Backlog:
    """Predicts how long the backend is taken.

    A job takes its mean time without eviction, for a response of the expected length, and never
    longer than to its own last moment, unless it may be late. To be served at all, a job needs
    the time to its first token: what goes beyond that is not certain to be lost.

    Arguments:
        planner: with the time model; without one, nothing takes any time.
        lengths: how long answers have become.
        by_deadline: the queue's order is that of the last moments.
    """

    planner: BudgetPlanner
    lengths: ResponseLengths
    by_deadline: bool

    def free_at_s(self, running: Job, now_s: float) -> float:
        """Return when a running job is predicted to leave the backend [s]."""
        time_model, remaining_s = self.planner.time_model, 0.0
        if time_model is not None and running.started_at_s is not None:
            if running.kept_tokens > 0:
                remaining_s = time_model.t_decode(
                    running.kept_tokens, self.lengths.expected_tokens(running.max_new_tokens)
                ) - time_model.t_decode(running.kept_tokens, running.response_tokens)
            else:
                remaining_s = running.started_at_s + self._expected_s(running) - now_s
        return self._left_at_s(running, now_s, max(0.0, remaining_s))

    def hopeless(self, waiting: Sequence[Job], free_at_s: float) -> list[Hopeless]:
        """Return the jobs that wait in vain, none of which takes the backend from others.

        Arguments:
            waiting: in the queue's order.
            free_at_s: when the backend can begin with the first [s].
        """
        found: list[Hopeless] = []
        turn_s = free_at_s
        for place, job in enumerate(waiting):
            if job.prompt_tokens == 0:
                continue
            if self._can_start(job, turn_s):
                turn_s = self._left_at_s(job, turn_s, self._expected_s(job))
            else:
                later_turn_s = self._later_turn_s(job, waiting[place + 1 :], turn_s)
                found.append(Hopeless(job.number, turn_s, later_turn_s))
        return found

    def _later_turn_s(self, job: Job, behind: Sequence[Job], turn_s: float) -> float:
        """Return when a job's turn would come if its last moment were just late enough."""
        if self.by_deadline:
            for other in behind:
                if self.planner.is_feasible(job.prompt_tokens, other.last_moment_s - turn_s):
                    break  # it would still be before this one
                if other.prompt_tokens > 0 and self._can_start(other, turn_s):
                    turn_s = self._left_at_s(other, turn_s, self._expected_s(other))
        return turn_s

    def _can_start(self, job: Job, turn_s: float) -> bool:
        return self.planner.is_feasible(job.prompt_tokens, job.last_moment_s - turn_s)

    def _expected_s(self, job: Job) -> float:
        time_model = self.planner.time_model
        if time_model is None:
            return 0.0
        response_tokens = self.lengths.expected_tokens(job.max_new_tokens)
        return time_model.t_e2e(job.prompt_tokens, job.prompt_tokens, response_tokens)

    def _left_at_s(self, job: Job, start_s: float, duration_s: float) -> float:
        latest_s = math.inf if job.may_be_late else max(start_s, job.last_moment_s)
        return min(start_s + duration_s, latest_s)
