"""When will a query be completed, and how surely by its last moment? Pure: no clock, no model."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from timebill_ros.core.time_model import TimeModel

_CERTAIN = 3.0
"""So many standard deviations away, it is beyond any probability that may be asked for."""
_REMEMBERED = 4096


@dataclass(frozen=True)
class Job:
    """A query that waits or runs.

    Arguments:
        number: the query's.
        prompt_tokens: N_x; an estimate while the prompt is not tokenised.
        cached_tokens: so many of them need not be read.
        lengths: equally likely lengths of its answer [tokens].
        last_moment_s: when it must end [s].
        may_be_late: once it runs, it holds the backend beyond its last moment (SKIP_NEXT).
        needed_share: share of the answer that must be there by then; 1.0: all of it.
        thinking_tokens: so many of its tokens come before the answer, of which no share counts.
        started_at_s: when it would have begun to run, had it never been preempted [s]; None: it
            waits.
        kept_tokens, response_tokens: what it has come to; kept_tokens 0: it reads its prompt.
        steps_per_token: how many steps over one token a token of its answer takes, in (0, 1]:
            forced and guessed tokens take less than one.
        left_s: equally likely times that it still takes, if it has begun [s]; empty: it has not.
    """

    number: int
    prompt_tokens: int
    lengths: tuple[int, ...]
    last_moment_s: float
    cached_tokens: int = 0
    may_be_late: bool = False
    needed_share: float = 1.0
    thinking_tokens: int = 0
    started_at_s: float | None = None
    kept_tokens: int = 0
    response_tokens: int = 0
    steps_per_token: float = 1.0
    left_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class Moment:
    """A point in time that is not known exactly: mean [s] and variance [s^2]."""

    mean_s: float
    variance: float = 0.0


@dataclass(frozen=True)
class Times:
    """Equally likely times in rising order, their mean [s] and variance [s^2]."""

    each_s: tuple[float, ...]
    mean_s: float
    variance: float

    @classmethod
    def of(cls, each_s: tuple[float, ...]) -> 'Times':
        """Return times with their mean and variance."""
        mean_s = sum(each_s) / len(each_s)
        return cls(each_s, mean_s, sum((time_s - mean_s) ** 2 for time_s in each_s) / len(each_s))


@dataclass(frozen=True)
class Completion:
    """Predicts when jobs end, one after the other, without eviction.

    Times are normally distributed about the predicted ones, with what whole answers have in common
    as spread. Lengths are distributed as they were seen.

    Arguments:
        time_model: of the backend; None: nothing takes any time.
    """

    time_model: TimeModel | None
    _known: dict[tuple[int, int, tuple[int, ...], float, int, float], Times] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def begun(self, job: Job, now_s: float) -> Job:
        """Return a job that has begun, with the times that it still takes."""
        if self.time_model is None or job.started_at_s is None:
            return replace(job, left_s=(0.0,))
        return replace(job, left_s=self._left_s(job, job.started_at_s, now_s))

    def free_at(self, begun: Iterable[Job], now_s: float) -> Moment:
        """Return when the backend is done with jobs that have begun, one after the other."""
        moment = Moment(now_s)
        for job in begun:
            moment = self.after(job, moment)
        return moment

    def after(self, job: Job, turn: Moment) -> Moment:
        """Return when a job leaves the backend, which it gets at a turn."""
        return self._left_at(job, turn, self._times(job))

    def expected_s(self, job: Job) -> float:
        """Return the mean time that a job takes, or still takes [s]."""
        return self._times(job).mean_s

    def first_token_s(self, job: Job) -> float:
        """Return the mean time until a waiting job's first token [s]."""
        model = self.time_model
        return model.t_prefill(job.prompt_tokens, job.cached_tokens) if model else 0.0

    def probability(self, job: Job, turn: Moment, last_moment_s: float | None = None) -> float:
        """Return how likely a waiting job has what it needs by its last moment, in [0, 1].

        Arguments:
            turn: when it gets the backend.
            last_moment_s: another last moment than its own [s].
        """
        end_s = job.last_moment_s if last_moment_s is None else last_moment_s
        times = self._times(job, job.needed_share).each_s
        left_s = end_s - turn.mean_s
        return sum(self._fits(time_s, left_s, turn.variance) for time_s in times) / len(times)

    def is_likely(self, job: Job, turn: Moment, probability: float) -> bool:
        """Return whether a waiting job is in time with a probability from 0.01 to 0.99.

        Most are by far, or are not: that is seen at a glance, and queues may be long.
        """
        times = self._times(job, job.needed_share).each_s
        left_s = job.last_moment_s - turn.mean_s
        margin_s = _CERTAIN * math.sqrt(turn.variance + (self._spread * times[-1]) ** 2)
        if left_s > times[-1] + margin_s:
            return True
        if left_s < times[0] - margin_s:
            return False
        return self.probability(job, turn) >= probability

    def in_time_from_s(self, job: Job, turn: Moment, probability: float) -> float:
        """Return the earliest last moment by which a job is done with a probability [s]."""
        if self.time_model is None:
            return turn.mean_s
        longest_s = self._times(job, job.needed_share).each_s[-1]
        spread_s = math.sqrt(turn.variance + (self._spread * longest_s) ** 2)
        low_s, high_s = turn.mean_s, turn.mean_s + longest_s + 6.0 * spread_s
        while high_s - low_s > 0.5e-3:
            middle_s = (low_s + high_s) / 2
            if self.probability(job, turn, middle_s) >= probability:
                high_s = middle_s
            else:
                low_s = middle_s
        return high_s

    @property
    def _spread(self) -> float:
        """Relative standard deviation of a predicted time."""
        return self.time_model.delta / self.time_model.bound_spreads if self.time_model else 0.0

    def _fits(self, time_s: float, left_s: float, variance: float) -> float:
        deviation_s = math.sqrt(variance + (self._spread * time_s) ** 2)
        if deviation_s == 0.0:
            return 1.0 if time_s <= left_s else 0.0
        return 0.5 * math.erfc((time_s - left_s) / deviation_s / math.sqrt(2.0))

    def _times(self, job: Job, share: float = 1.0) -> Times:
        """Return the equally likely times that a job takes, for a share of its answer [s].

        One that has begun counts whole.
        """
        if job.left_s:
            return Times.of(job.left_s)
        key = (
            job.prompt_tokens,
            job.cached_tokens,
            job.lengths,
            share,
            job.thinking_tokens,
            job.steps_per_token,
        )
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[key] = Times.of(self._each_s(job, share))
        return found

    def _each_s(self, job: Job, share: float) -> tuple[float, ...]:
        if self.time_model is None:
            return (0.0,)
        tokens, model = job.prompt_tokens, self.time_model
        prefill_s = model.t_prefill(tokens, job.cached_tokens)
        needed = [_needed_tokens(length, job.thinking_tokens, share) for length in job.lengths]
        rate = job.steps_per_token
        return tuple(prefill_s + rate * model.t_decode(tokens, length) for length in needed)

    def _left_s(self, job: Job, started_at_s: float, now_s: float) -> tuple[float, ...]:
        """Return the equally likely times that a job that has begun still takes [s]."""
        model = self.time_model
        assert model is not None
        if job.kept_tokens == 0:
            each_s = self._times(job).each_s
            return tuple(max(0.0, started_at_s + time_s - now_s) for time_s in each_s)
        spent_s = model.t_decode(job.kept_tokens, job.response_tokens)
        # Lengths that it has passed are out; beyond all that are known, it may end at any moment.
        longer = [length for length in job.lengths if length > job.response_tokens]
        return tuple(
            job.steps_per_token * (model.t_decode(job.kept_tokens, length) - spent_s)
            for length in longer or [job.response_tokens]
        )

    def _left_at(self, job: Job, turn: Moment, times: Times) -> Moment:
        end = Moment(
            turn.mean_s + times.mean_s,
            turn.variance + times.variance + (self._spread * times.mean_s) ** 2,
        )
        last_s = max(turn.mean_s, job.last_moment_s)
        if job.may_be_late or end.mean_s <= last_s:
            return end
        return Moment(last_s)  # it is cut off there


def _needed_tokens(length: int, thinking_tokens: int, share: float) -> int:
    """Return the length with which a share of an answer is there, behind all of its thinking."""
    thinking = min(thinking_tokens, length)
    return thinking + math.ceil(share * (length - thinking))
