"""How pessimistic should TimeBill be? The paper's figure 8, for k = 1..8, at each of the budgets.

Every item has the same large N_max, so that k * N_hat is below it for the smaller k.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from timebill_ros.benchmark import budget_report, budget_tasks
from timebill_ros.benchmark.budget_arms import timebill
from timebill_ros.benchmark.budget_diagnosis import diagnosis
from timebill_ros.benchmark.budget_plot import draw_factors
from timebill_ros.benchmark.budget_replay import KILL
from timebill_ros.benchmark.budget_run import budget_run, parser
from timebill_ros.benchmark.budgets import RESULTS
from timebill_ros.benchmark.machine import describe_machine
from timebill_ros.benchmark.results_page import write_results_page

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
        budgets_s = budget_tasks.placed_budgets(budget_tasks.claimed(run.recorded()))
        plannings = {f'{factor}': run.planning.with_factor(float(factor)) for factor in FACTORS}
        arms = {factor: timebill(planning) for factor, planning in plannings.items()}
        run.record_chosen(arms.values(), budgets_s)
        items = budget_tasks.claimed(run.recorded())
        default = f'{run.planning.settings.pessimistic_factor:g}'
        plans = {
            factor: diagnosis(items, budgets_s, planning) for factor, planning in plannings.items()
        }
        results = {}
        for budget_s in budgets_s:
            rows = budget_report.at_budget(
                items, arms, budget_s, KILL, run.seed, reference=default
            )
            results[f'{budget_s:g}'] = {
                factor: rows[factor] | plans[factor][f'{budget_s:g}'] for factor in arms
            }
        report = {
            'results': results,
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


def _table(report: dict[str, Any]) -> str:
    lines = [
        f'{report["n"]} items: score, completion [%], by k',
        ' ' * 8 + ''.join(f'{factor:>11}' for factor in FACTORS),
    ]
    for budget, rows in report['results'].items():
        cells = (f'{row["score"]:7.3f} {100 * row["completion"]:3.0f}' for row in rows.values())
        lines.append(f'{budget:>6} s' + ''.join(cells))
    return '\n'.join(lines)


if __name__ == '__main__':
    sys.exit(main())
