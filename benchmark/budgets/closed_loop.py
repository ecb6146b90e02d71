"""Does listening to the clock while an answer is written give better answers? Policy closed_loop.

Rules, written down before the run:

- The answers are the model's own, whole texts, also those that are evicted in the middle. Answers
  of one item share their beginning up to the eviction; see Branching.
- Their times are simulated by a time model that was fitted on idle cores (FITTED), with noise
  between steps and drift inside an answer; see SimulatedClock. So neighbours do not count. An item
  has one clock, the same for all arms, budgets and regimes.
- Two regimes. cold: the prompt is read within the budget. standing: all but its last 48 tokens
  are in the cache.
- The four made-up tasks, as many items of each, prompts of 512 to 2,048 tokens. What is chosen,
  the worth and the budgets, rests on eight items of each of another seed (DEVELOPMENT_SEED).
- The worth is fitted to answers that are evicted before the first token, at a third, and at two
  thirds of the unevicted answer, at each ratio. What is reported of a task uses a worth that was
  fitted to the other three tasks.
- Budgets: in which 20, 40, 60, 80 and 95 % of the unevicted answers are in time, by the
  development items, on twenty clocks each.
- Lengths are learned as the node learns them: each task is an asker, and what closed_loop gave it
  for the items before, within the same budget, is what is known. All arms but the fixed ones and
  timebill use that, beside the predictor.
- All arms choose among 0, 25, 50, 75 and 95 %, with the same time model, without correction for
  drift. timebill: the smallest of them whose worst case fits, k = 5.
  expected: the largest (1 - alpha) * P(in time). decided_once: closed_loop's first decision, as if
  none could follow. half_on_demand: evicts 50 % as soon as the median of the lengths that are left
  is not in time without. oracle_length: closed_loop, with the length of the unevicted answer
  known. best_fixed_in_hindsight: for each item, the best of the five ratios. A look costs LOOK_S.
- --tasks function_calls, instead of the made-up tasks: bfcl-eval's requests that one call serves,
  in prompts of 512 to 2,048 tokens that list functions of other requests too. The answer is
  constrained to a call of one of them; it is right (1) or wrong (0), as bfcl-eval judges. A forced
  token takes no step of its own. Requests of development and report differ. These answers are
  shorter, so the budgets are theirs, by twelve development items; the worth is fitted to the
  made-up tasks. They count if more than 0.15 of the unevicted development answers are right.
- --model: another model. Its clocks follow its own profile, measured once on this machine; it has
  no length predictor, so what is known of lengths is learned.
- KILL: a late answer scores 0. SKIP_NEXT: so do those that it delays. PARTIAL: the text so far; a
  call is closed behind its last whole value. Arms that plan by worth evict nothing then: this was
  decided after the run, which had shown that closed_loop loses by evictions under PARTIAL.
- Aims, in each regime: no fixed arm is above closed_loop by more than the 95 % interval (paired,
  bootstrap); in the standing regime closed_loop is above every fixed arm by more than the interval
  at three budgets, and completes at least what alpha = 95 % does, less 2 points.
- Default policy of the node: closed_loop, if under KILL, in each regime, it is above timebill and
  above no eviction by more than the interval at more budgets than it is below; if under PARTIAL it
  is nowhere below no eviction by more than the interval; and if bench-live does not contradict.
- Items of seed 2126 had been looked at before the fit of the worth was changed (it weighs squares
  by the unevicted score). So the seed is a new one.

What was decoded is kept in the cache folder, item by item. A run that is interrupted, or ended by
--minutes, goes on there; known items are scored again without decoding.
"""

import argparse
import json
import math
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.budgets.branched_items import GROUPS, MADE_UP, BranchedItems
from benchmark.budgets.claim import LEAST_SCORE
from benchmark.budgets.closed_loop_arms import CLOSED, Answers
from benchmark.budgets.closed_loop_outcome import Outcome, outcomes
from benchmark.budgets.closed_loop_report import REGIMES, SEED, Key, compared, table
from benchmark.budgets.earlier_answers import EarlierAnswers
from benchmark.budgets.measured_worth import (
    Branch,
    branches_of,
    fitted,
    held_out,
    squared_error,
    without_each_task,
)
from benchmark.budgets.replay import KILL, PARTIAL
from benchmark.budgets.tasks.task import Task
from benchmark.budgets.way import WHOLE
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS
from timebill_ros.core.answer_worth import PRIOR
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.inference.loading.model_source import BUILT_IN
from timebill_ros.progress import Progress

DEVELOPMENT_SEED, DEVELOPMENT_ITEMS, DEVELOPMENT_CALLS = 2226, 8, 12
"""Of the items that the worth is fitted to and budgets are placed on; how many of each made-up
task, and of function_calls, which is right or wrong."""
CLOCKS = 20
NEW_TOKENS = 48
"""Of a prompt whose context is held [tokens]."""
Cell = tuple[str, str, str]
"""Regime, strategy and budget."""
SHARES = (0.2, 0.4, 0.6, 0.8, 0.95)


def main() -> int:
    """Answer, simulate and report; return the exit status."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument('--items', type=int, default=125, help='of each of four tasks')
    options.add_argument(
        '--minutes', type=float, default=math.inf, help='begin no new item after about so long'
    )
    options.add_argument('--model', default=BUILT_IN, help="as the node's parameter")
    options.add_argument('--tasks', default='made_up', choices=GROUPS, help='what is asked')
    chosen = options.parse_args()
    try:
        report = measured(chosen.items, chosen.minutes * 60.0, chosen.model, chosen.tasks)
    except ValueError as error:
        print(f'bench-closed_loop: {error}', file=sys.stderr)
        return 1
    (RESULTS / results_file(chosen.model, chosen.tasks)).write_text(
        json.dumps(report, indent=2) + '\n'
    )
    print(table(report))
    return 0


def results_file(model: str, tasks: str) -> str:
    """Return the name of the file that a model's results for a group of tasks go to."""
    parts = [tasks] * (tasks != 'made_up') + [Path(model).stem] * (model != BUILT_IN)
    return '-'.join(['closed_loop', *parts]) + '.json'


def measured(count: int, limit_s: float, model: str, tasks: str) -> dict[str, Any]:
    """Return the report.

    Arguments:
        count: items of each task.
        limit_s: no item that is not known is begun later [s]; those that are there are a random
            sample, the same of each task to one item.
        model: as the node's parameter.
        tasks: of GROUPS.
    """
    start_s, machine = time.monotonic(), describe_machine()
    with BranchedItems.opened(model) as source:
        settings = PlannerSettings(min_kept_tokens=source.min_kept_tokens)
        placed, branches = developed(source, GROUPS[tasks])
        worths = without_each_task(branches)
        budgets = {regime: placed_budgets(placed, regime) for regime in REGIMES}
        found: dict[Key, list[Outcome]] = {}
        done: dict[str, int] = {}
        earlier: dict[Cell, EarlierAnswers] = defaultdict(EarlierAnswers)
        items = source.items(GROUPS[tasks], count, SEED)
        with Progress(len(items), 'items') as progress:
            for item in items:
                if time.monotonic() > start_s + limit_s and not source.is_known(item) and done:
                    break
                with source.answers(item, worths[item.task]) as answers:
                    _one(answers, budgets, settings, earlier, found)
                done[item.task] = done.get(item.task, 0) + 1
                progress.advance(1, item.task)
    return {
        'regimes': {regime: compared(found, regime, budgets[regime]) for regime in REGIMES},
        'n': sum(done.values()),
        'n_by_task': done,
        'development_items': len(placed),
        'unevicted': unevicted(placed),
        'worth': {
            'all': asdict(fitted(branches)),
            'without': {task: asdict(worth) for task, worth in worths.items()},
            'held_out': held_out(branches, worths),
            'mean_squared_error': {
                'held_out': squared_error(branches, worths),
                'prior': squared_error(branches, dict.fromkeys(worths, PRIOR)),
            },
            'answers': len(branches),
        },
        'time_model': asdict(source.time_model),
        'seed': SEED,
        'development_seed': DEVELOPMENT_SEED,
        'predictor': source.predictor_name,
        'model': Path(model).name,
        'machine': machine,
        'run_time_s': round(time.monotonic() - start_s, 1),
    }


def developed(source: BranchedItems, group: Sequence[Task]) -> tuple[list[Answers], list[Branch]]:
    """Return the answers that budgets are placed on, and those that the worth is fitted to."""
    placed, branches = [], []
    items = source.items(MADE_UP, DEVELOPMENT_ITEMS, DEVELOPMENT_SEED)
    if group != MADE_UP:
        items += source.items(group, DEVELOPMENT_CALLS, DEVELOPMENT_SEED)
    asked = {task.name for task in group}
    with Progress(len(items), 'development items') as progress:
        for item in items:
            with source.answers(item, PRIOR) as answers:
                branches += branches_of(answers, source.min_kept_tokens)
            if item.task in asked:
                placed.append(answers)
            progress.advance(1, item.task)
    return placed, branches


def unevicted(placed: Sequence[Answers]) -> dict[str, Any]:
    """Return the unevicted score of each task on the development items, and whether it counts."""
    scores = defaultdict(list)
    for answers in placed:
        scores[answers.item.task].append(answers.score(WHOLE, len(answers.pieces(WHOLE))))
    return {
        task: {'score': float(np.mean(some)), 'counts': float(np.mean(some)) > LEAST_SCORE}
        for task, some in scores.items()
    }


def placed_budgets(placed: Sequence[Answers], regime: str) -> list[float]:
    """Return the budgets in which SHARES of the unevicted answers are in time [s]."""
    totals_s = []
    for answers in placed:
        whole = len(answers.pieces(WHOLE))
        for number in range(CLOCKS):
            clock = answers.clock.again(number)
            steps = answers.steps.get(WHOLE)
            times_s = clock.times_s(whole, 0, answers.prompt_tokens, steps)
            totals_s.append(clock.prefill_s(_cached(answers, regime)) + times_s[-1])
    return [float(f'{budget_s:.3g}') for budget_s in np.quantile(totals_s, SHARES)]


def _cached(answers: Answers, regime: str) -> int:
    return answers.prompt_tokens - NEW_TOKENS if regime == 'standing' else 0


def _one(
    answers: Answers,
    budgets: Mapping[str, Sequence[float]],
    settings: PlannerSettings,
    earlier: Mapping[Cell, EarlierAnswers],
    found: dict[Key, list[Outcome]],
) -> None:
    for regime in REGIMES:
        for budget_s in budgets[regime]:
            for strategy in (KILL, PARTIAL):
                cell = regime, strategy, f'{budget_s:g}'
                asked = earlier[cell].known_to(answers)
                cached = _cached(answers, regime)
                made = outcomes(asked, budget_s, cached, settings, strategy == PARTIAL)
                earlier[cell].learn(asked, made[CLOSED])
                for name, one in made.items():
                    found.setdefault((*cell, name), []).append(one)


if __name__ == '__main__':
    sys.exit(main())
