"""Counts wrong decisions of the admission: refused wrongly, admitted in vain."""

from collections.abc import Iterable
from typing import Any

from benchmark.deadlines.load.plan import ARMS
from benchmark.deadlines.load.result import LoadResult
from benchmark.deadlines.load.single_server import RESERVE_S, Job, served
from benchmark.deadlines.summary import distribution

DEFINITION = (
    'false refusal: a query refused as INFEASIBLE or OVERLOADED that would have been '
    'answered whole and in time had it been admitted: its block is played through on one '
    "server, deterministically, in the arm's queue order and overrun policy, with the "
    'arrivals as recorded, all queries that the arm admitted and this one; service times as'
    ' measured in the run, of those that were not answered as measured one at a time '
    'before. at_no_cost: nor would another query have been lost that is served in time '
    'without it. answered_without_admission: the same query was answered in time in the arm'
    ' no_admission, which has the queue order of edf only. false admission: a query that '
    'was admitted, and ended as KILLED or SKIPPED. The totals are those of the arms with '
    'admission, edf and fifo.'
)
REFUSALS = ('INFEASIBLE', 'OVERLOADED')
_AT_ONCE_MS = 100.0
"""What takes longer was admitted at first, and found to be in vain while it waited."""


def admission_errors(results: list[LoadResult]) -> dict[str, object]:
    """Return the figures of each arm, and the totals of those with admission."""
    by_arm = {
        arm.name: _of_arm([r for r in results if r.arm is arm], _answered_without(results))
        for arm in ARMS
    }
    with_admission = [arm.name for arm in ARMS if arm.name in ('edf', 'fifo')]
    return {
        'false_refusals': sum(by_arm[name]['would_have_been_met'] for name in with_admission),
        'false_admissions': sum(by_arm[name]['killed_or_skipped'] for name in with_admission),
        'admission': {'definition': DEFINITION, **by_arm},
    }


def would_have_been_met(refused: LoadResult, admitted: Iterable[LoadResult]) -> tuple[bool, bool]:
    """Return whether a refused query would have been met, and whether at no other's cost.

    Arguments:
        admitted: what else of its block and arm was admitted.
    """
    by_deadline = refused.arm.queue_order == 'edf'
    may_be_late = refused.block.strategy == 'SKIP_NEXT'
    others = [_job(result) for result in admitted]
    without = served(others, by_deadline, may_be_late)
    with_it = served([*others, _job(refused)], by_deadline, may_be_late)
    is_met = refused.record.id in with_it
    return is_met, is_met and set(without) <= set(with_it)


def _of_arm(results: list[LoadResult], answered_without: set[tuple[int, int]]) -> dict[str, Any]:
    refused = [result for result in results if result.outcome in REFUSALS]
    admitted = [r for r in results if r.outcome not in (*REFUSALS, 'QUEUE_FULL', 'MISSING')]
    verdicts = [
        would_have_been_met(result, [r for r in admitted if r.block is result.block])
        for result in refused
    ]
    times_ms = _reply_ms(results, *REFUSALS)
    in_vain = [result for result in results if result.outcome in ('KILLED', 'SKIPPED')]
    return {
        'arrivals': len(results),
        'refused_infeasible': len(refused),
        'refused_queue_full': sum(result.outcome == 'QUEUE_FULL' for result in results),
        'would_have_been_met': sum(is_met for is_met, _ in verdicts),
        'at_no_cost': sum(is_free for _, is_free in verdicts),
        'answered_without_admission': sum(_key(result) in answered_without for result in refused),
        'admitted': len(admitted),
        'killed_or_skipped': len(in_vain),
        'killed': sum(result.outcome == 'KILLED' for result in in_vain),
        'skipped': sum(result.outcome == 'SKIPPED' for result in in_vain),
        'time_to_infeasible_ms': distribution(times_ms),
        'infeasible_while_waiting': sum(time_ms > _AT_ONCE_MS for time_ms in times_ms),
        'time_to_queue_full_ms': distribution(_reply_ms(results, 'QUEUE_FULL')),
    }


def _reply_ms(results: list[LoadResult], *outcomes: str) -> list[float]:
    return [
        (result.reply.received_ns - result.record.sent_ns) * 1e-6
        for result in results
        if result.reply is not None and result.outcome in outcomes
    ]


def _answered_without(results: list[LoadResult]) -> set[tuple[int, int]]:
    return {_key(r) for r in results if r.arm.name == 'no_admission' and r.is_on_time}


def _key(result: LoadResult) -> tuple[int, int]:
    return result.block.number, result.place


def _job(result: LoadResult) -> Job:
    record, reply = result.record, result.reply
    return Job(
        record.id,
        record.sent_ns * 1e-9,
        reply.total_s if reply and result.outcome == 'ANSWERED' else result.arrival.service_s,
        record.deadline_ns * 1e-9 - RESERVE_S,
    )
