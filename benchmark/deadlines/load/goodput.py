"""The share of queries that are answered on time, for each arm and load, with intervals."""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from benchmark.deadlines.load.oracle import most_in_any_order, most_in_order_of_arrival
from benchmark.deadlines.load.plan import ARMS, LOADS, Block
from benchmark.deadlines.load.result import LoadResult
from benchmark.deadlines.load.single_server import RESERVE_S, Job
from benchmark.report.bootstrap import bootstrap_interval

_STRETCH = 5
"""Neighbours in a block share their fate: they are drawn again together."""


def goodput(results: list[LoadResult], seed: int) -> dict[str, dict[str, dict[str, object]]]:
    """Return the figures of each arm at each load; a partial answer is none.

    The share is that of arrivals with a whole answer in time; rate_per_s is their number in the
    time that so many arrivals take at the mean rate; intervals are 95 %, by bootstrap of stretches
    of neighbouring arrivals. The oracle is what could have been answered, had all arrivals and
    times been known before: see oracle.py; service times are those measured one at a time.
    """
    return {
        arm.name: {f'{load:g}': _figures(_of(results, arm.name, load), seed) for load in LOADS}
        for arm in ARMS
    }


def differences(results: list[LoadResult], seed: int) -> dict[str, dict[str, dict[str, object]]]:
    """Return by how much edf's share exceeds each other arm's, query by query, at each load."""
    return {
        f'edf_minus_{arm.name}': {
            f'{load:g}': _difference(_of(results, 'edf', load), _of(results, arm.name, load), seed)
            for load in LOADS
        }
        for arm in ARMS
        if arm.name != 'edf'
    }


def interval_of_mean(values: list[float], places: list[tuple[int, int]], seed: int) -> list[float]:
    """Return the 95 % bootstrap interval of a mean.

    Arguments:
        places: of each value: its block and its place in it; stretches are cut by them.
    """
    stretches: dict[tuple[int, int], list[float]] = {}
    for value, (block, place) in zip(values, places, strict=True):
        stretches.setdefault((block, place // _STRETCH), []).append(value)
    sums = np.array([sum(stretch) for stretch in stretches.values()])
    sizes = np.array([len(stretch) for stretch in stretches.values()])
    interval = bootstrap_interval(
        lambda sums, sizes, axis: sums.sum(axis) / sizes.sum(axis), (sums, sizes), seed
    )
    return [round(bound, 4) for bound in interval]


def _of(results: list[LoadResult], arm: str, load: float) -> list[LoadResult]:
    """Return an arm's results in an order that all arms share."""
    chosen = [r for r in results if r.arm.name == arm and r.block.load == load]
    return sorted(chosen, key=_place)


def _place(result: LoadResult) -> tuple[int, int]:
    return result.block.number, result.place


def _figures(results: list[LoadResult], seed: int) -> dict[str, object]:
    on_time = [float(result.is_on_time) for result in results]
    oracle, in_order = _oracles({r.block.number: r.block for r in results}.values())
    duration_s = sum({r.block.number: r.block.duration_s for r in results}.values())
    return {
        'arrivals': len(results),
        'on_time': int(sum(on_time)),
        'share': round(sum(on_time) / len(results), 4),
        'share_interval': interval_of_mean(on_time, [_place(r) for r in results], seed),
        'oracle': oracle,
        'oracle_in_order_of_arrival': in_order,
        'of_oracle': round(sum(on_time) / oracle, 4),
        'of_oracle_in_order_of_arrival': round(sum(on_time) / in_order, 4),
        'rate_per_s': round(sum(on_time) / duration_s, 3),
        'offered_per_s': round(len(results) / duration_s, 3),
        'partial': sum(result.outcome == 'PARTIAL' for result in results),
        'outcomes': dict(Counter(result.outcome for result in results).most_common()),
    }


def _oracles(blocks: Iterable[Block]) -> tuple[int, int]:
    """Return how many queries of some blocks could be on time, in any order and in theirs."""
    of_blocks = [
        [
            Job(
                str(place),
                arrival.at_s,
                arrival.service_s,
                arrival.at_s + arrival.budget_s - RESERVE_S,
            )
            for place, arrival in enumerate(block.arrivals)
        ]
        for block in blocks
    ]
    in_order = sum(map(most_in_order_of_arrival, of_blocks))
    return max(1, sum(map(most_in_any_order, of_blocks))), max(1, in_order)


def _difference(left: list[LoadResult], right: list[LoadResult], seed: int) -> dict[str, object]:
    values = [float(a.is_on_time) - float(b.is_on_time) for a, b in zip(left, right, strict=True)]
    return {
        'share': round(sum(values) / len(values), 4),
        'share_interval': interval_of_mean(values, [_place(r) for r in left], seed),
    }
