"""A waiting query that is given up, and the sentences that say why."""

import math
from dataclasses import dataclass

from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.outcome import Miss, MissReason
from timebill_ros.core.plan import Plan
from timebill_ros.dispatch.completion import Job
from timebill_ros.dispatch.dispatch_settings import DispatchSettings
from timebill_ros.dispatch.pending_query import PendingQuery


@dataclass(frozen=True)
class Refused:
    """A waiting query that is to end: the plan that would not be in time, and its miss."""

    entry: PendingQuery
    plan: Plan
    miss: Miss


def infeasible(
    entry: PendingQuery, settings: DispatchSettings, planner: BudgetPlanner, now_s: float
) -> Refused:
    """Return the refusal of a query whose prefill takes longer than is left.

    Arguments:
        planner: with the estimate as it stands.
        now_s: on the deadlines' clock [s].
    """
    query, bill = entry.query, entry.bill.so_far
    prompt_tokens, cached_tokens = bill.prompt_tokens, bill.cached_tokens
    left_s = entry.last_moment_s - now_s
    plan = planner.plan(
        prompt_tokens, entry.max_new_tokens, cached_tokens=cached_tokens, remaining_s=left_s
    )
    detail = (
        f'reading {what_is_read(prompt_tokens, cached_tokens)} is estimated to take '
        f'{plan.predicted_prefill_time_s:.3f} s, but {left_s:.3f} s are left of the time budget '
        f'of {query.time_budget_s:.3f} s'
    )
    spent_s = now_s - query.asked_at_s + settings.publish_reserve_s
    minimum_s = planner.minimum_time_budget_s(
        prompt_tokens, cached_tokens=cached_tokens, overhead_s=spent_s
    )
    return Refused(entry, plan, Miss(MissReason.INFEASIBLE, detail, minimum_s))


@dataclass(frozen=True)
class Late:
    """Why a query is not predicted to be completed.

    Arguments:
        job: what it is predicted to take.
        expected_s: how long that is [s].
        wait_s: until its turn [s].
        enough_s: about the earliest last moment with which it is accepted, asked again now [s].
    """

    job: Job
    expected_s: float
    wait_s: float
    enough_s: float


def overloaded(
    entry: PendingQuery,
    late: Late,
    settings: DispatchSettings,
    planner: BudgetPlanner,
    now_s: float,
) -> Refused:
    """Return the refusal of a query that is not predicted to be completed behind others.

    Arguments: as for infeasible().
    """
    query, job, left_s = entry.query, late.job, entry.last_moment_s - now_s
    length = round(sum(job.lengths) / len(job.lengths))
    plan = planner.plan(
        job.prompt_tokens,
        entry.max_new_tokens,
        cached_tokens=job.cached_tokens,
        predicted_response_tokens=length,
        remaining_s=left_s - late.wait_s,
    )
    detail = (
        f'its turn is predicted to come in {late.wait_s:.3f} s, behind what runs and waits ahead. '
        f'Reading {what_is_read(job.prompt_tokens, job.cached_tokens)} and writing about '
        f'{length} tokens is estimated to take {late.expected_s:.3f} s more, but '
        f'{left_s:.3f} s are left of the time budget of {query.time_budget_s:.3f} s'
    )
    minimum_s = late.enough_s - query.asked_at_s + settings.publish_reserve_s
    minimum_s = math.floor(minimum_s * 1000.0 + 1.0) / 1000.0
    return Refused(entry, plan, Miss(MissReason.OVERLOADED, detail, minimum_s))


def what_is_read(prompt_tokens: int, cached_tokens: int) -> str:
    """Return what is to be read of a prompt, for a sentence."""
    if not cached_tokens:
        return f'{prompt_tokens} prompt tokens'
    new_tokens = prompt_tokens - cached_tokens
    return f'{new_tokens} of {prompt_tokens} prompt tokens (the others are in the cache)'
