"""Which waiting queries are given up, because they are not predicted to be completed."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from timebill_ros.core.asker_lengths import AskerLengths
from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.outcome import Answer, FinishReason, Outcome
from timebill_ros.dispatch.answer_length import AnswerLength
from timebill_ros.dispatch.completion import Completion, Job
from timebill_ros.dispatch.dispatch_settings import DispatchSettings
from timebill_ros.dispatch.learned_lengths import LearnedLengths
from timebill_ros.dispatch.pending_query import PendingQuery
from timebill_ros.dispatch.preemption import (
    Preemption,
    may_overtake,
    may_preempt,
    preemptions_left,
)
from timebill_ros.dispatch.prompt_length import PromptLength
from timebill_ros.dispatch.refused import Late, Refused, infeasible, overloaded
from timebill_ros.dispatch.schedule import Schedule

_WHOLE = (FinishReason.EOS, FinishReason.REPETITION)


@dataclass
class Admission:
    """Gives up queries early, so that those that run are completed.

    A query is INFEASIBLE if the time that is left is shorter than its prefill. It is OVERLOADED if
    it is not predicted to be completed behind what runs and waits ahead. A free backend refuses
    only what is infeasible, if nothing else waits: an estimate that is too long cannot refuse
    everything for ever, and lengths are learned. Used under the dispatcher's lock.

    Arguments:
        lengths, prompts: what was learned of answers and of prompts.
        longest_prefix: the most tokens of a prompt that may be in the backend's cache. So much is
            assumed of a prompt that is not tokenised: it is known a moment later.
        room_tokens: that the caches of what has begun may have together; 0: not known.
    """

    lengths: LearnedLengths = field(default_factory=LearnedLengths)
    prompts: PromptLength = field(default_factory=PromptLength)
    longest_prefix: int = 0
    room_tokens: int = 0
    _completion: Completion = field(default_factory=lambda: Completion(None))
    _jobs: dict[int, Job] = field(default_factory=dict)
    _jobs_settings: DispatchSettings | None = None

    def tokenised(self, entry: PendingQuery) -> None:
        """Learn how long a prompt of so many bytes is."""
        self.prompts.observe(entry.prompt_bytes, entry.bill.so_far.prompt_tokens)
        self._jobs.pop(entry.number, None)

    def recached(self, entry: PendingQuery) -> None:
        """Learn that more or less of a prompt is cached than was said."""
        self._jobs.pop(entry.number, None)

    def ended(self, entry: PendingQuery, outcome: Outcome) -> None:
        """Learn how long an answer has become, or at least: it may have been cut off."""
        is_whole = isinstance(outcome, Answer) and outcome.finish_reason in _WHOLE
        bill = entry.bill.so_far
        self._jobs.pop(entry.number, None)
        if bill.response_tokens > 0 and not entry.is_choice:
            length = AnswerLength(
                bill.response_tokens, is_whole, bill.thinking_tokens, _passes(bill)
            )
            predicted = entry.predicted_lengths
            self.lengths.observe(entry.habit, length, entry.max_new_tokens, predicted)
            self._jobs.clear()

    def asker_lengths(self, entry: PendingQuery) -> AskerLengths | None:
        """Return how long a query's answer becomes, for the planner; None: nothing is known."""
        return self.lengths.of(entry.habit)

    def refused(
        self,
        waiting: Sequence[PendingQuery],
        running: Sequence[PendingQuery],
        newcomer: PendingQuery | None,
        settings: DispatchSettings,
        planner: BudgetPlanner,
        now_s: float,
        is_free: bool,
    ) -> list[Refused]:
        """Return the queries to give up.

        Arguments:
            waiting: in the order of their turns, the newcomer among them.
            running: what has the backend and keeps it, then what it has preempted.
            newcomer: what has just come, or been tokenised; None: the backend has become free.
            settings: the rule of admission, the queue's order, the reserve.
            planner: with the estimate as it stands.
            now_s: on the deadlines' clock [s].
            is_free: no query has the backend, not even one that the newcomer would replace.
        """
        completion = self.completion_by(planner)
        jobs = {entry.number: self.waiting_job(entry, settings) for entry in waiting}
        feasible = [
            entry
            for entry in waiting
            if not entry.is_tokenised
            or completion.first_token_s(jobs[entry.number]) <= entry.last_moment_s - now_s
        ]
        refused = []
        if len(feasible) < len(waiting):
            left = {entry.number for entry in feasible}
            refused = [
                infeasible(entry, settings, planner, now_s)
                for entry in waiting
                if entry.number not in left
            ]
        if settings.admission == 'alone' or (is_free and len(feasible) <= 1):
            return refused
        begun = self.begun(running, settings, now_s)
        schedule = Schedule(
            completion,
            settings.admission_probability,
            settings.queue_order == 'edf',
            completion.free_at(begun, now_s),
            is_free,
        )
        line = [jobs[entry.number] for entry in feasible]
        given_up = schedule.given_up(line, newcomer.number if newcomer else None)
        if not given_up:
            return refused
        if newcomer is not None and running:
            most = preemptions_left(running[-1], now_s)
            preemption = Preemption(completion, settings.admission_probability, now_s, most)
            rules = running, settings, now_s, self.room_tokens
            if all(may_preempt(entry, *rules) for entry in (feasible[0], newcomer)):
                if preemption.is_right(line[0], begun, line):
                    given_up = min(preemption.lost(begun, line), given_up, key=len)
            elif may_overtake(newcomer, *rules):
                overtaken = preemption.lost_behind(begun[:1], [*begun[1:], *line])
                given_up = min(given_up, overtaken, key=len)
        lost = {job.number for job in given_up}
        stay = [job for job in line if job.number not in lost]
        return refused + [
            self._overloaded(entry, stay, schedule, settings, planner, now_s)
            for entry in feasible
            if entry.number in lost
        ]

    def _overloaded(
        self,
        entry: PendingQuery,
        stay: Sequence[Job],
        schedule: Schedule,
        settings: DispatchSettings,
        planner: BudgetPlanner,
        now_s: float,
    ) -> Refused:
        job = self.waiting_job(entry, settings)
        # Asked again, it is tested by its bytes first, and nothing is known of the context's end.
        again = dataclasses.replace(
            job,
            prompt_tokens=max(job.prompt_tokens, self.prompts.tokens(entry.prompt_bytes)),
            lengths=self._likely(entry, entry.query.max_new_tokens),
        )
        enough_s = schedule.enough_until_s(again, stay)
        turn = schedule.turn(job, stay)
        expected_s = schedule.completion.expected_s(job)
        late = Late(job, expected_s, max(0.0, turn.mean_s - now_s), enough_s)
        return overloaded(entry, late, settings, planner, now_s)

    def preempts(
        self,
        waiting: Sequence[PendingQuery],
        running: Sequence[PendingQuery],
        settings: DispatchSettings,
        planner: BudgetPlanner,
        now_s: float,
    ) -> bool:
        """Return whether the first of what waits is to run before what runs.

        Arguments:
            waiting: in the order of their turns.
            running: what runs, then what it has preempted.
            settings, planner, now_s: as for refused().
        """
        if not may_preempt(waiting[0], running, settings, now_s, self.room_tokens):
            return False
        if running[0].is_late(now_s):
            # It has been preempted and is late: it yields to those that are in time.
            return running[0].bill.preemptions > 0
        self.completion_by(planner)
        line = [self.waiting_job(entry, settings) for entry in waiting]
        left = preemptions_left(running[0], now_s)
        return Preemption(self._completion, settings.admission_probability, now_s, left).is_right(
            line[0], self.begun(running, settings, now_s), line
        )

    def completion_by(self, planner: BudgetPlanner) -> Completion:
        """Return when jobs end, by the estimate as it stands."""
        if self._completion.time_model != planner.time_model:
            self._completion = Completion(planner.time_model)
        return self._completion

    def begun(
        self, running: Sequence[PendingQuery], settings: DispatchSettings, now_s: float
    ) -> list[Job]:
        """Return the jobs of what runs and of what it has preempted."""
        return [
            self._completion.begun(self._job(entry, settings, now_s), now_s) for entry in running
        ]

    def waiting_job(self, entry: PendingQuery, settings: DispatchSettings) -> Job:
        """Return the job of a waiting query. It is made once: a queue may be long."""
        if self._jobs_settings is not settings:
            self._jobs_settings = settings
            self._jobs.clear()
        if entry.number not in self._jobs:
            self._jobs[entry.number] = self._job(entry, settings, now_s=0.0)
        return self._jobs[entry.number]

    def _job(self, entry: PendingQuery, settings: DispatchSettings, now_s: float) -> Job:
        bill = entry.bill
        prompt_tokens, cached_tokens = bill.so_far.prompt_tokens, bill.so_far.cached_tokens
        if not prompt_tokens:
            prompt_tokens = self.prompts.tokens(entry.prompt_bytes)
            cached_tokens = min(prompt_tokens - 1, self.longest_prefix)
        return Job(
            number=entry.number,
            prompt_tokens=prompt_tokens,
            cached_tokens=cached_tokens,
            lengths=self._likely(entry, entry.max_new_tokens),
            thinking_tokens=self.lengths.thinking(entry.habit),
            steps_per_token=1.0 if entry.is_choice else self.lengths.steps_per_token(entry.habit),
            last_moment_s=entry.last_moment_s,
            may_be_late=entry.may_be_late,
            needed_share=settings.min_partial_share if entry.may_be_partial else 1.0,
            started_at_s=None if entry.is_waiting else bill.ran_from_s(now_s),
            kept_tokens=bill.so_far.kept_tokens if bill.planned_at_s is not None else 0,
            response_tokens=bill.so_far.response_tokens,
        )

    def _likely(self, entry: PendingQuery, max_new_tokens: int) -> tuple[int, ...]:
        if entry.is_choice:  # its steps are known
            return (entry.max_new_tokens,)
        return self.lengths.likely(entry.habit, max_new_tokens)


def _passes(bill: Bill) -> int | None:
    """Return the passes of an answer, if the backend has told them: it does at the end."""
    return bill.passes if bill.total_time > 0.0 and bill.passes > 0 else None
