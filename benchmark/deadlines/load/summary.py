"""Computes the figures of the benchmark under load."""

from collections import Counter

from benchmark.deadlines.contract import count_violations
from benchmark.deadlines.load.admission_errors import admission_errors
from benchmark.deadlines.load.goodput import differences, goodput
from benchmark.deadlines.load.loaded_run import LoadedRun
from benchmark.deadlines.load.plan import ARMS, STRATEGIES
from benchmark.deadlines.load.result import LoadResult


def summarise_load(load: LoadedRun, results: list[LoadResult], seed: int) -> dict[str, object]:
    """Return the JSON's keys of the section under load."""
    return {
        'load': {
            'queries': len(results),
            'capacity_per_s': round(load.capacity_per_s, 3),
            'service_s': [round(service_s, 4) for service_s in load.service_s],
            'violations': count_violations(result.violations for result in results),
        },
        'by_strategy': {
            strategy: {
                arm.name: _of_strategy(
                    [r for r in results if r.block.strategy == strategy and r.arm is arm]
                )
                for arm in ARMS
            }
            for strategy in STRATEGIES
        },
        'goodput': goodput(results, seed),
        'goodput_difference': differences(results, seed),
        **admission_errors(results),
    }


def _of_strategy(results: list[LoadResult]) -> dict[str, object]:
    return {
        'queries': len(results),
        'outcomes': dict(Counter(result.outcome for result in results).most_common()),
        'on_time': sum(result.is_on_time for result in results),
        'partial': sum(result.outcome == 'PARTIAL' for result in results),
        'late_and_said_so': sum(result.is_late_answer for result in results),
        'contract_violations': sum(bool(result.violations) for result in results),
    }
