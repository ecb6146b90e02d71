"""Checks the replay: answers a sample by the real pipeline, with alpha not rounded."""

import time
from random import Random
from typing import Any

from benchmark.budgets.arms import timebill
from benchmark.budgets.recorded_item import RecordedItem
from benchmark.budgets.run import BudgetRun
from benchmark.budgets.tasks.task import Item
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.deadline import Deadline
from timebill_ros.core.time_model import TimeModel
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.pipeline import Generation, Listener, Question, answer
from timebill_ros.inference.text_stream import TextStream
from timebill_ros.progress import Progress

SAMPLE = 12


def unrounded_sample(
    run: BudgetRun, budgets_s: list[float], count: int = SAMPLE
) -> dict[str, Any]:
    """Return how often pipeline and replay agree on whether an answer is complete in time.

    Arguments:
        budgets_s: one is drawn for each item [s].
        count: items drawn.
    """
    random = Random(run.seed)
    pairs = list(zip(run.items, run.recorded(), strict=True))
    rows = []
    with Progress(min(count, len(pairs)), 'items') as progress:
        for item, recorded in random.sample(pairs, min(count, len(pairs))):
            rows.append(_compared(run, item, recorded, random.choice(budgets_s)))
            progress.advance(1, 'unrounded, through the pipeline')
    return {
        'n': len(rows),
        'completed': sum(row['completed'] for row in rows),
        'replay_completed': sum(row['replay_completed'] for row in rows),
        'agree': sum(row['completed'] == row['replay_completed'] for row in rows),
        'items': rows,
    }


def _compared(
    run: BudgetRun, item: Item, recorded: RecordedItem, budget_s: float
) -> dict[str, Any]:
    alpha = timebill(run.planning)(recorded, budget_s)
    model = run.planning.model_for(recorded)
    generation = _answered(run, item, budget_s, model)
    was_planned = generation.bill.kept_tokens > 0
    return {
        'task': item.task,
        'budget_s': budget_s,
        'alpha': generation.bill.eviction_ratio if was_planned else None,
        'replay_alpha': alpha,
        'completed': generation.finish_reason is not None
        and generation.bill.total_time <= budget_s,
        'replay_completed': recorded.total_s(alpha) <= budget_s,
        'total_s': generation.bill.total_time,
        'replay_total_s': recorded.total_s(alpha),
    }


def _answered(run: BudgetRun, item: Item, budget_s: float, model: TimeModel) -> Generation:
    engine, recorder = run.engine, run.recorder
    question = Question(item.prompt, recorder.chat.token_ids(item.prompt), item.max_new_tokens)
    return answer(
        engine,
        BudgetPlanner(run.planning.settings, model),
        recorder.predictor,
        TextStream(recorder.detokenizer),
        question,
        Interrupt(Deadline(time.monotonic() + budget_s)),
        Listener(planned=lambda _: None, text=lambda *_: None),
    )
