"""Prints the figures of the deadline benchmark under load."""

from collections.abc import Mapping
from typing import Any

from benchmark.deadlines.load.plan import ARMS, LOADS, STRATEGIES
from benchmark.report.tables import screen_table


def print_load_table(result: Mapping[str, Any]) -> None:
    """Print what is known under load, of memory and of idling; result is the JSON's content."""
    memory, idle = result['memory'], result['idle']
    print_goodput(result)
    low, high = memory['slope_interval_kb_per_1000']
    print(
        f'\nmemory: {result["memory_slope_kb_per_1000"]:g} kB per 1,000 queries '
        f'({low:g} to {high:g}), {memory["rss_mb_first"]:g} to {memory["rss_mb_last"]:g} MB over '
        f'{memory["queries_fitted"]} queries'
    )
    print(f'idle: {idle["cpu_percent"]:g} % of a core, {idle["rss_mb"]:g} MB')


def print_goodput(result: Mapping[str, Any]) -> None:
    """Print what is known under load; result is the JSON's content."""
    load, goodput = result['load'], result['goodput']
    print(
        f'\ncontract violations in all sections: {result["contract_violations"]} '
        f'{result["violations"] or ""}'
    )
    print(f'under load: {load["queries"]} queries, capacity {load["capacity_per_s"]:.2f} 1/s')
    loads = [f'{x:g} x' for x in LOADS]
    shares = {**goodput, **result['goodput_difference']}
    rows = [(name, *map(_share, by_load.values())) for name, by_load in shares.items()]
    print(screen_table([('answered whole and on time [%]', *loads), *rows]))
    rows = [(name, *map(_of_oracle, by_load.values())) for name, by_load in goodput.items()]
    print(f'\n{screen_table([("of what was possible [%] (in order of arrival)", *loads), *rows])}')
    _print_strategies(result['by_strategy'])
    _print_admission(result['admission'])


def _of_oracle(cell: Mapping[str, Any]) -> str:
    return f'{100 * cell["of_oracle"]:.0f} ({100 * cell["of_oracle_in_order_of_arrival"]:.0f})'


def _share(cell: Mapping[str, Any]) -> str:
    low, high = (100 * bound for bound in cell['share_interval'])
    return f'{100 * cell["share"]:.1f} ({low:.1f}..{high:.1f})'


def _print_strategies(by_strategy: Mapping[str, Any]) -> None:
    columns = ('queries', 'on_time', 'partial', 'late_and_said_so', 'contract_violations')
    rows = [
        (f'{strategy}, {arm.name}', *(str(by_strategy[strategy][arm.name][c]) for c in columns))
        for strategy in STRATEGIES
        for arm in ARMS
    ]
    print(f'\n{screen_table([("", *columns), *rows])}')


def _print_admission(admission: Mapping[str, Any]) -> None:
    columns = (
        *('refused_infeasible', 'infeasible_while_waiting', 'would_have_been_met'),
        *('at_no_cost', 'killed', 'skipped'),
    )
    rows: list[tuple[str, ...]] = [('', *columns, 'refused in [ms]: p50', 'p99')]
    for arm in ARMS:
        cells = admission[arm.name]
        times = cells['time_to_infeasible_ms']
        rows.append(
            (arm.name, *(str(cells[c]) for c in columns), str(times['p50']), str(times['p99']))
        )
    print(f'\n{screen_table(rows)}')
