"""One query's way through the model: predict, prefill, plan, evict, decode. Read this first."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.outcome import FinishReason
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.interrupt import Interrupt, InterruptedGenerationError
from timebill_ros.inference.length.length_predictor import LengthPredictor
from timebill_ros.inference.text_stream import TextStream


@dataclass(frozen=True)
class Question:
    """What is asked.

    Arguments:
        prompt: the asker's text.
        token_ids: the same with the chat template applied, shorter than the model's context.
        max_new_tokens: N_max; the end of the context bounds it too.
    """

    prompt: str
    token_ids: list[int]
    max_new_tokens: int


@dataclass(frozen=True)
class Generation:
    """How a generation ended: why (None: it was interrupted), and what was measured."""

    finish_reason: FinishReason | None
    bill: Bill


@dataclass(frozen=True)
class Listener:
    """Told of progress as it happens: the bill after the prefill, then text and length."""

    planned: Callable[[Bill], None]
    text: Callable[[str, int], None]


def answer(
    engine: Engine,
    planner: BudgetPlanner,
    predictor: LengthPredictor,
    stream: TextStream,
    question: Question,
    interrupt: Interrupt,
    listener: Listener,
) -> Generation:
    """Answer one query.

    Arguments:
        planner: with the time model as it stands now.
        predictor: reads beside the prefill; what it takes longer is billed, and planned without.
        stream: new for each answer.
        interrupt: cuts the generation off, at the deadline less the reserve or before.
        listener: told of progress.
    """
    prompt_tokens = len(question.token_ids)
    max_new_tokens = min(question.max_new_tokens, engine.target.context_length - prompt_tokens)
    bill, reason, tokens = Bill(prompt_tokens=prompt_tokens), None, 0
    watch = _Stopwatch()
    try:
        expected_s = planner.prefill_time_s(prompt_tokens)
        with predictor.beside_prefill(question.prompt, question.token_ids, expected_s) as reading:
            prefilled = engine.prefill(question.token_ids, max_new_tokens, interrupt)
        bill = replace(bill, prefill_time=watch.lap_s())
        length = reading.distribution()
        bill = replace(bill, predictor_time=watch.lap_s())

        plan = planner.plan_after_prefill(
            prompt_tokens,
            max_new_tokens,
            prefill_time_s=bill.prefill_time,
            predicted_response_tokens=length and length.predicted_tokens(max_new_tokens),
            remaining_s=interrupt.deadline.remaining_s(),
        )
        bill = bill.with_plan(plan)
        listener.planned(bill)
        if plan.kept_tokens < prompt_tokens:
            engine.evict(prefilled, plan.kept_tokens)
            bill = replace(bill, eviction_time=watch.lap_s())

        for token_id, reason in engine.decode(prefilled, plan.max_new_tokens, interrupt):
            tokens += 1
            listener.text(stream.add(token_id), tokens)
        listener.text(stream.end(), tokens)
    except InterruptedGenerationError:
        reason = None
    if bill.prefill_time > 0:
        bill = replace(bill, decode_time=watch.lap_s())
    return Generation(reason, replace(bill, response_tokens=tokens, total_time=watch.total_s()))


class _Stopwatch:
    def __init__(self) -> None:
        self._start_s = self._lap_s = time.monotonic()

    def lap_s(self) -> float:
        """Return the time since the last lap, and begin another."""
        now_s, last_s = time.monotonic(), self._lap_s
        self._lap_s = now_s
        return now_s - last_s

    def total_s(self) -> float:
        return time.monotonic() - self._start_s
