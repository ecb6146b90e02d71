"""Which queries are not served: for what they are, or for what runs and waits before them."""

from collections.abc import Sequence
from dataclasses import dataclass

from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.outcome import Miss, MissReason
from timebill_ros.core.plan import Plan
from timebill_ros.core.query import Query
from timebill_ros.dispatch.backlog import Backlog, Hopeless
from timebill_ros.dispatch.dispatch_settings import DispatchSettings
from timebill_ros.dispatch.pending_queries import PendingQueries
from timebill_ros.dispatch.pending_query import PendingQuery
from timebill_ros.dispatch.response_lengths import ResponseLengths


def expired(query: Query, reserve_s: float) -> Miss | None:
    """Return the miss of a query that came too late; None if it did not."""
    left_s = query.deadline.remaining_s()
    if left_s > reserve_s:
        return None
    age_s = query.deadline.clock() - query.asked_at_s
    return Miss(
        MissReason.EXPIRED,
        f'{left_s:.3f} s were left at arrival, {age_s:.3f} s after the stamp; publish_reserve is '
        f'{reserve_s:.3f} s. If the asker is on another machine: are the clocks synchronised, is '
        'use_sim_time the same?',
    )


def too_long(prompt_tokens: int, context_length: int) -> Miss | None:
    """Return the miss of a query whose prompt leaves no room for a response; None if it does."""
    if prompt_tokens < context_length:
        return None
    return Miss(
        MissReason.INVALID_QUERY,
        f'prompt has {prompt_tokens} tokens with the chat template, but the model has a context '
        f'of {context_length}, and the response needs at least one',
    )


def duplicate(query: Query, pending: PendingQueries) -> Miss | None:
    """Return the miss of a query whose id is in use; None if it is not."""
    if query.key not in pending:
        return None
    return Miss(
        MissReason.DUPLICATE_ID,
        f'id {query.key.id!r} of asker {query.key.asker!r} is still being served',
    )


def queue_full(pending: PendingQueries, settings: DispatchSettings) -> Miss | None:
    """Return the miss of a query for which there is no place; None if there is one."""
    waiting, bound = len(pending.queue), settings.max_queue_length
    if waiting < bound:
        return None
    return Miss(MissReason.QUEUE_FULL, f'{waiting} queries wait, max_queue_length is {bound}')


@dataclass(frozen=True)
class Refused:
    """A waiting query that is to end: the plan that would not be in time, and its miss."""

    entry: PendingQuery
    plan: Plan
    miss: Miss


@dataclass(frozen=True)
class Admission:
    """Finds the queries that wait in vain.

    All that wait are looked at whenever a query's length becomes known and whenever the backend is
    free: so a newcomer with an earlier deadline (edf) ends those that it makes hopeless at once.

    Arguments:
        settings: the rule of admission, the queue's order, the reserve.
        planner: with the estimate as it stands.
        lengths: how long answers have become.
    """

    settings: DispatchSettings
    planner: BudgetPlanner
    lengths: ResponseLengths

    def in_vain(
        self, waiting: Sequence[PendingQuery], running: PendingQuery | None, now_s: float
    ) -> list[Refused]:
        """Return the queries that cannot be met, as far as can be predicted.

        Arguments:
            waiting: in the order of their turns.
            running: what has the backend, if it has not been replied to.
        """
        backlog = Backlog(self.planner, self.lengths, self.settings.queue_order == 'edf')
        jobs = [entry.job for entry in waiting]
        if self.settings.admission == 'alone':
            hopeless = [found for job in jobs for found in backlog.hopeless([job], now_s)]
        else:
            free_at_s = backlog.free_at_s(running.job, now_s) if running else now_s
            hopeless = backlog.hopeless(jobs, free_at_s)
        entries = {entry.number: entry for entry in waiting}
        return [self._refused(entries[found.number], found, now_s) for found in hopeless]

    def _refused(self, entry: PendingQuery, found: Hopeless, now_s: float) -> Refused:
        query, prompt_tokens = entry.query, entry.bill.so_far.prompt_tokens
        wait_s, left_s = found.turn_s - now_s, entry.last_moment_s - now_s
        plan = self.planner.plan(prompt_tokens, entry.max_new_tokens, remaining_s=left_s - wait_s)
        before = f'its turn is predicted to come in {wait_s:.3f} s, and ' if wait_s > 0 else ''
        detail = (
            f'{before}reading {prompt_tokens} prompt tokens is estimated to take '
            f'{plan.predicted_prefill_time_s:.3f} s, but {left_s:.3f} s are left of the time '
            f'budget of {query.time_budget_s:.3f} s'
        )
        minimum_s = self.planner.minimum_time_budget_s(
            prompt_tokens,
            overhead_s=found.later_turn_s - query.asked_at_s + self.settings.publish_reserve_s,
        )
        return Refused(entry, plan, Miss(MissReason.INFEASIBLE, detail, minimum_s))
