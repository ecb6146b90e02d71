"""Does listening to the clock while an answer is written give better answers? Policy closed_loop.

Rules, written down before the run:

- The answers are the model's own, whole texts, also those that are evicted in the middle. Their
  times are simulated by the fitted model, so that neighbours do not count: see SimulatedClock.
- Two regimes. cold: the prompt is read within the budget. standing: all but its last 48 tokens
  are in the cache.
- Items of the four made-up tasks, of a seed on which nothing was tuned. Budgets are placed on
  other items (DEVELOPMENT_SEED), at equal shares of unevicted answers that are in time.
- All arms have the same clocks, the same predicted lengths and the same time model, without
  correction for drift. A look of the closed loop costs LOOK_S.
- KILL: a late answer scores 0. SKIP_NEXT: so do those that it delays. PARTIAL: the text so far.
- Aims, in each regime: no fixed arm is above closed_loop by more than the 95 % interval; in the
  standing regime closed_loop is above every fixed arm by more than the interval at three budgets,
  and completes at least what alpha = 95 % does, less 2 points.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from benchmark.budgets.closed_loop_arms import ARMS, Answers, Outcome, Way, outcome
from benchmark.budgets.closed_loop_report import REGIMES, SEED, Key, compared, table
from benchmark.budgets.recording import Recorder
from benchmark.budgets.replay import KILL, PARTIAL
from benchmark.budgets.simulated_clock import SimulatedClock
from benchmark.budgets.tasks import TASKS, task_items
from benchmark.budgets.tasks.task import Item
from benchmark.eviction.evicted_answers import NEVER, copied
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS
from timebill_ros.core.answer_worth import PRIOR
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.core.time_model import TimeModel
from timebill_ros.inference.length.predictor_loader import load_predictor
from timebill_ros.inference.loaded_engine import loaded_engine
from timebill_ros.inference.loading.model_source import BUILT_IN
from timebill_ros.inference.measured_time_model import LogProgress, time_model
from timebill_ros.inference.text_stream import TextStream
from timebill_ros.progress import Progress

DEVELOPMENT_SEED, DEVELOPMENT_ITEMS = 22, 6
"""Of the items that budgets are placed on, and how many of each task."""
NEW_TOKENS = 48
"""Of a prompt whose context is held [tokens]."""
SHARES = (0.25, 0.5, 0.75, 0.95)


def main() -> int:
    """Answer, simulate and report; return the exit status."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument('--items', type=int, default=125, help='of each of four tasks')
    options.add_argument('--minutes', type=float, default=math.inf, help='end after about so long')
    chosen = options.parse_args()
    report = measured(chosen.items, chosen.minutes * 60.0)
    (RESULTS / 'closed_loop.json').write_text(json.dumps(report, indent=2) + '\n')
    print(table(report))
    return 0


def measured(count: int, limit_s: float) -> dict[str, Any]:
    """Return the report.

    Arguments:
        count: items of each task.
        limit_s: no item is begun later [s]; those that were are a random sample, the same of
            each task to one item.
    """
    start_s, machine = time.monotonic(), describe_machine()
    engine = loaded_engine(ModelSettings(model=BUILT_IN))
    recorder = Recorder(
        engine, load_predictor('auto', engine.target, engine.settings.repetition_penalty)
    )
    model = time_model(engine, 60.0, LogProgress('measuring the time model'))
    settings = PlannerSettings(min_kept_tokens=engine.min_kept_tokens)
    placed = [
        made(recorder, item, model)
        for item in _items(recorder, DEVELOPMENT_ITEMS, DEVELOPMENT_SEED)
    ]
    budgets = {regime: placed_budgets(placed, regime) for regime in REGIMES}
    found: dict[Key, list[Outcome]] = {}
    items = _items(recorder, count, SEED)
    done, begin_s = 0, time.monotonic()
    with Progress(len(items), 'items') as progress:
        for item in items:
            if done > 1 and time.monotonic() > begin_s + limit_s:
                break
            _one(made(recorder, item, model), budgets, settings, found)
            done += 1
            progress.advance(1, item.task)
    regimes = {regime: compared(found, regime, budgets[regime]) for regime in REGIMES}
    return {
        'regimes': regimes,
        'n': done,
        'budgets_placed_on': len(placed),
        'time_model': asdict(model),
        'worth': asdict(PRIOR),
        'seed': SEED,
        'predictor': recorder.predictor.name,
        'machine': machine,
        'run_time_s': round(time.monotonic() - start_s, 1),
    }


def _items(recorder: Recorder, count: int, seed: int) -> list[Item]:
    tokenizer = recorder.engine.target.tokenizer

    def count_tokens(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)['input_ids'])

    tasks = [task_items(task, count, seed, {}, count_tokens) for task in TASKS[:4]]
    return [item for group in zip(*tasks, strict=True) for item in group]


def made(recorder: Recorder, item: Item, model: TimeModel) -> Answers:
    """Read an item's prompt; its answers are generated when they are asked for."""
    engine, ids = recorder.engine, recorder.chat.token_ids(item.prompt)
    longest = min(item.max_new_tokens, engine.target.context_length - len(ids))
    with recorder.predictor.beside_prefill(item.prompt, ids, math.inf) as reading:
        prefilled = engine.prefill(ids, longest, NEVER)
    length = reading.distribution()

    def decode(way: Way) -> list[str]:
        evict_at, kept = way
        copy = copied(engine, prefilled, longest, engine.scorer.window)
        if evict_at == 0:
            engine.evict(copy, kept)
        stream = TextStream(recorder.detokenizer)
        pieces: list[str] = []
        for token_id, reason in engine.decode(copy, longest, NEVER):
            pieces.append(stream.add(token_id))
            if len(pieces) == evict_at and reason is None:
                engine.evict(copy, kept)
        pieces[-1] += stream.end()
        return pieces

    clock = SimulatedClock.of(model, len(ids), 2 * longest, int(item.key[-8:], 16))
    return Answers(item, len(ids), clock, length, longest, decode)


def placed_budgets(placed: Sequence[Answers], regime: str) -> list[float]:
    """Return the budgets in which SHARES of the unevicted answers are in time [s]."""
    totals_s = []
    for answers in placed:
        whole = (0, answers.prompt_tokens)
        times_s = answers.clock.times_s(len(answers.pieces(whole)), *whole)
        totals_s.append(answers.clock.prefill_s(_cached(answers, regime)) + times_s[-1])
    return [float(f'{budget_s:.3g}') for budget_s in np.quantile(totals_s, SHARES)]


def _cached(answers: Answers, regime: str) -> int:
    return answers.prompt_tokens - NEW_TOKENS if regime == 'standing' else 0


def _one(
    answers: Answers,
    budgets: Mapping[str, Sequence[float]],
    settings: PlannerSettings,
    found: dict[Key, list[Outcome]],
) -> None:
    for regime in REGIMES:
        for budget_s in budgets[regime]:
            for strategy in (KILL, PARTIAL):
                planner = replace(settings, is_partial=strategy == PARTIAL)
                for name, arm in ARMS.items():
                    key = (regime, strategy, f'{budget_s:g}', name)
                    cached = _cached(answers, regime)
                    found.setdefault(key, []).append(
                        outcome(arm, answers, budget_s, cached, planner)
                    )


if __name__ == '__main__':
    sys.exit(main())
