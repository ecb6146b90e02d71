"""Which pessimistic factor k is best? The paper's figure 8, for k = 1..8 at each time budget.

Every item has the same large N_max, so that k * N_hat is below it for the smaller k. Two arms have
no k: no eviction, and policy expected.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.budgets.arms import (
    EXPECTED,
    VANILLA,
    Choose,
    Planning,
    expected,
    fixed,
    timebill,
)
from benchmark.budgets.claim import claimed, placed_budgets
from benchmark.budgets.diagnosis import diagnosis
from benchmark.budgets.plot import draw_factors
from benchmark.budgets.recorded_item import RecordedItem
from benchmark.budgets.replay import KILL
from benchmark.budgets.report import at_budget
from benchmark.budgets.run import budget_run, parser
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS
from benchmark.report.results_page import write_results_page
from benchmark.report.tables import screen_table
from timebill_ros.core.planner_settings import PlannerSettings

FACTORS = range(1, 9)
MAX_NEW_TOKENS = 512


def main() -> int:
    """Record what is missing, replay, report and draw; return the exit status."""
    options = parser(__doc__, MAX_NEW_TOKENS).parse_args()
    try:
        run_factors(options, RESULTS)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    write_results_page(RESULTS)
    return 0


def run_factors(options: argparse.Namespace, folder: Path) -> None:
    """Measure, and write k.json and k.png into a folder."""
    start_s, machine = time.monotonic(), describe_machine()
    with budget_run(options) as run:
        budgets_s = placed_budgets(claimed(run.recorded()))
        run.record_chosen(_arms(run.planning).values(), budgets_s)
        items = claimed(run.recorded())
        report = {
            'results': _replayed(items, run.planning, budgets_s, run.seed),
            'max_new_tokens': options.max_new_tokens,
            'n': len(items),
            'predictor': run.recorder.predictor.name,
            'target': run.engine.target.name,
            'seed': run.seed,
            'machine': machine,
            'run_time_s': round(time.monotonic() - start_s, 1),
        }
    folder.mkdir(exist_ok=True)
    (folder / 'k.json').write_text(json.dumps(report, indent=2) + '\n')
    draw_factors(report, folder / 'k.png')
    print(_table(report))


def _plannings(planning: Planning) -> dict[str, Planning]:
    return {str(factor): planning.with_factor(float(factor)) for factor in FACTORS}


def _arms(planning: Planning) -> dict[str, Choose]:
    arms = {factor: timebill(by_factor) for factor, by_factor in _plannings(planning).items()}
    return {**arms, EXPECTED: expected(planning), VANILLA: fixed(0.0)}


def _replayed(
    items: Sequence[RecordedItem], planning: Planning, budgets_s: Sequence[float], seed: int
) -> dict[str, Any]:
    """Return the figures by budget, and k or arm; differences are to the default k."""
    plans = {
        factor: diagnosis(items, budgets_s, by_factor)
        for factor, by_factor in _plannings(planning).items()
    }
    default, arms = f'{PlannerSettings().pessimistic_factor:g}', _arms(planning)
    found = {}
    for budget in (f'{budget_s:g}' for budget_s in budgets_s):
        rows = at_budget(items, arms, float(budget), KILL, seed, default)
        for factor, plan in plans.items():
            rows[factor] |= plan[budget]
        found[budget] = rows
    return found


def _table(report: dict[str, Any]) -> str:
    rows = [('', *next(iter(report['results'].values())))]
    for budget, arms in report['results'].items():
        cells = (f'{row["score"]:.3f} {100 * row["completion"]:3.0f}' for row in arms.values())
        rows.append((f'{budget} s', *cells))
    return f'{report["n"]} items: score, completion [%], by k\n{screen_table(rows)}'
