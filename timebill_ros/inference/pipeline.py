"""One query's way through the model: prefill, plan, evict, decode, bill. Read this first."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.outcome import FinishReason
from timebill_ros.core.plan import Plan
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.interrupt import Interrupt, InterruptedGenerationError
from timebill_ros.inference.text_stream import TextStream


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
    stream: TextStream,
    token_ids: list[int],
    max_new_tokens: int,
    interrupt: Interrupt,
    listener: Listener,
) -> Generation:
    """Answer one query.

    Arguments:
        token_ids: the prompt with the chat template applied, shorter than the model's context.
        max_new_tokens: N_max; the end of the context bounds it too.
        interrupt: cuts it off at the deadline, or before.
        listener: told of progress.
    """
    max_new_tokens = min(max_new_tokens, engine.target.context_length - len(token_ids))
    bill, reason, tokens = Bill(prompt_tokens=len(token_ids)), None, 0
    start, decode_start = time.monotonic(), None
    try:
        prefilled = engine.prefill(token_ids, max_new_tokens, interrupt)
        prefill_end = time.monotonic()
        plan = planner.plan(len(token_ids), max_new_tokens)
        bill = replace(planned_bill(bill, plan), prefill_time=prefill_end - start)
        listener.planned(bill)
        decode_start = time.monotonic()
        if plan.kept_tokens < len(token_ids):
            engine.evict(prefilled, plan.kept_tokens)
            bill = replace(bill, eviction_time=time.monotonic() - decode_start)
            decode_start = time.monotonic()
        for token_id, reason in engine.decode(prefilled, plan.max_new_tokens, interrupt):
            tokens += 1
            listener.text(stream.add(token_id), tokens)
        listener.text(stream.end(), tokens)
    except InterruptedGenerationError:
        reason = None
    end = time.monotonic()
    decode_time = 0.0 if decode_start is None else end - decode_start
    return Generation(
        reason,
        replace(bill, response_tokens=tokens, decode_time=decode_time, total_time=end - start),
    )


def planned_bill(bill: Bill, plan: Plan) -> Bill:
    """Return the bill with what the plan expects."""
    return replace(
        bill,
        kept_tokens=plan.kept_tokens,
        eviction_ratio=plan.eviction_ratio,
        predicted_response_tokens=plan.predicted_response_tokens,
        worst_case_response_tokens=plan.worst_case_response_tokens,
        predicted_prefill_time=plan.predicted_prefill_time_s,
        predicted_eviction_time=plan.predicted_eviction_time_s,
        predicted_decode_time=plan.predicted_decode_time_s,
        predicted_total_time=plan.predicted_total_time_s,
        worst_case_time=plan.worst_case_time_s,
    )
