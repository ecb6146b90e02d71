"""Do ratios that fit the time budget answer best? The paper's evaluation.

Every item is prefilled and answered once for each ratio that is needed, with a time stamp on each
token. Budgets and overrun policies are then replayed. You can stop it, and continue later.
"""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmark.budgets import claim, diagnosis
from benchmark.budgets.arms import planned_arms
from benchmark.budgets.plot import draw_budgets
from benchmark.budgets.report import PLANNED, aims, results, results_in_short
from benchmark.budgets.run import BudgetRun, budget_run, parser
from benchmark.budgets.table import budget_table, task_table
from benchmark.budgets.tasks import robot_plans
from benchmark.budgets.unrounded_sample import unrounded_sample
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS
from benchmark.report.results_page import write_results_page


def main() -> int:
    """Record what is missing, replay, report and draw; return the exit status."""
    options = parser(__doc__).parse_args()
    try:
        run_budgets(options, RESULTS)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    write_results_page(RESULTS)
    return 0


def run_budgets(options: argparse.Namespace, folder: Path) -> None:
    """Measure, and write budgets.json and budgets.png into a folder."""
    start_s, machine = time.monotonic(), describe_machine()
    with budget_run(options) as run:
        budgets_s = claim.placed_budgets(claim.claimed(run.recorded()))
        run.record_chosen(list(planned_arms(run.planning).values()), budgets_s)
        report = {
            **replayed(run, budgets_s),
            'unrounded_sample': unrounded_sample(run, budgets_s),
            'mode': 'every ratio' if options.full else 'the ratios that were chosen',
            'machine': machine,
            'run_time_s': round(time.monotonic() - start_s, 1),
        }
    folder.mkdir(exist_ok=True)
    (folder / 'budgets.json').write_text(json.dumps(report, indent=2) + '\n')
    draw_budgets(report, folder / 'budgets.png')
    print(task_table(report))
    print(budget_table(report))


def replayed(run: BudgetRun, budgets_s: list[float]) -> dict[str, Any]:
    """Return everything that follows from the recording."""
    items = run.recorded()
    claimed = claim.claimed(items)
    tasks = claim.by_task(items)
    found = results(claimed, budgets_s, run.planning, run.seed)
    return {
        'results': found,
        'aims': {arm: aims(found, arm) for arm in PLANNED},
        'tasks': {name: claim.task_statistics(group) for name, group in tasks.items()},
        'by_task': {
            name: results_in_short(group, budgets_s, run.planning, run.seed)
            for name, group in tasks.items()
        },
        'diagnosis': diagnosis.diagnosis(claimed, budgets_s, run.planning),
        'length_ratios': diagnosis.length_ratios(claimed),
        'leverage': diagnosis.leverage(claimed, run.planning),
        'n': len(claimed),
        'budgets_s': budgets_s,
        'time_model': dataclasses.asdict(run.planning.time_model),
        'pessimistic_factor': run.planning.settings.pessimistic_factor,
        'predictor': run.recorder.predictor.name,
        'target': run.engine.target.name,
        'quantization': run.engine.target.quantization,
        'eviction': dataclasses.asdict(run.engine.scorer),
        'robot_plans_graded_by': robot_plans.grader(),
        'seed': run.seed,
    }
