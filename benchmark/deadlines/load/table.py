"""Prints the figures of the deadline benchmark under load."""

from collections.abc import Mapping
from typing import Any

from benchmark.deadlines.load.plan import ARMS, LOADS, STRATEGIES


def print_load_table(result: Mapping[str, Any]) -> None:
    """Print what is known under load, of memory and of idling; result is the JSON's content."""
    load, memory, idle = result['load'], result['memory'], result['idle']
    print(
        f'\ncontract violations in all sections: {result["contract_violations"]} '
        f'{result["violations"] or ""}'
    )
    print(f'under load: {load["queries"]} queries, capacity {load["capacity_per_s"]:.2f} 1/s')
    print(f'{"answered whole and on time [%]":32}' + ''.join(f'{x:>22g}' for x in LOADS))
    for arm, by_load in result['goodput'].items():
        print(f'{arm:32}' + ''.join(f'{_share(cell):>22}' for cell in by_load.values()))
    for name, by_load in result['goodput_difference'].items():
        print(f'{name:32}' + ''.join(f'{_share(cell):>22}' for cell in by_load.values()))
    _print_strategies(result['by_strategy'])
    _print_admission(result['admission'])
    low, high = memory['slope_interval_kb_per_1000']
    print(
        f'\nmemory: {result["memory_slope_kb_per_1000"]:g} kB per 1,000 queries '
        f'({low:g} to {high:g}), {memory["rss_mb_first"]:g} to {memory["rss_mb_last"]:g} MB over '
        f'{memory["queries_fitted"]} queries'
    )
    print(f'idle: {idle["cpu_percent"]:g} % of a core, {idle["rss_mb"]:g} MB')


def _share(cell: Mapping[str, Any]) -> str:
    low, high = (100 * bound for bound in cell['share_interval'])
    return f'{100 * cell["share"]:.1f} ({low:.1f}..{high:.1f})'


def _print_strategies(by_strategy: Mapping[str, Any]) -> None:
    columns = ('queries', 'on_time', 'partial', 'late_and_said_so', 'contract_violations')
    print(f'\n{"":32}' + ''.join(f'{column:>20}' for column in columns))
    for strategy in STRATEGIES:
        for arm in ARMS:
            cells = by_strategy[strategy][arm.name]
            label = f'{strategy}, {arm.name}'
            print(f'{label:32}' + ''.join(f'{cells[column]:>20}' for column in columns))


def _print_admission(admission: Mapping[str, Any]) -> None:
    columns = (
        *('refused_infeasible', 'infeasible_while_waiting', 'would_have_been_met'),
        *('at_no_cost', 'killed', 'skipped'),
    )
    heads = ''.join(f'{column:>26}' for column in columns)
    print(f'\n{"":32}{heads}   refused in [ms]')
    for arm in ARMS:
        cells = admission[arm.name]
        times = cells['time_to_infeasible_ms']
        print(
            f'{arm.name:32}'
            + ''.join(f'{cells[column]:>26}' for column in columns)
            + f'   p50 {times["p50"]}, p99 {times["p99"]}'
        )
