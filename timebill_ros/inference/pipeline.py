"""One query's way through the model: predict, prefill, plan, evict, decode. Read this first."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from timebill_ros.core.asker_lengths import AskerLengths
from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.constraint import Closing
from timebill_ros.core.length_distribution import LengthDistribution
from timebill_ros.core.outcome import FinishReason
from timebill_ros.core.remaining_lengths import RemainingLengths, in_cells
from timebill_ros.inference.bill_recorder import BillRecorder
from timebill_ros.inference.constraint.compiler import Form
from timebill_ros.inference.constraint.guided import Guided
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.interrupt import Interrupt, InterruptedGenerationError
from timebill_ros.inference.length.length_predictor import (
    LengthPredictor,
    LengthReading,
    NoPredictor,
)
from timebill_ros.inference.midway_eviction import MidwayEviction
from timebill_ros.inference.prefix.state_sums import StateSums
from timebill_ros.inference.text_stream import TextStream


@dataclass(frozen=True)
class Question:
    """What is asked.

    Arguments:
        prompt: the asker's text.
        token_ids: the same with the chat template applied, shorter than the model's context.
        max_new_tokens: N_max; the end of the context bounds it too.
        form: the compiled constraint of the answer; None: free text.
        lengths: what was learned of such answers; None: nothing, or the policy does not learn.
    """

    prompt: str
    token_ids: list[int]
    max_new_tokens: int
    form: Form | None = None
    lengths: AskerLengths | None = None


@dataclass(frozen=True)
class Generation:
    """How a generation ended.

    Arguments:
        finish_reason: why; None: it was interrupted.
        bill: what was measured.
        choice: index of the chosen one; -1: none was chosen.
        choice_probabilities: of each choice.
        mean_token_probability: the geometric mean of what the model chose; 0: not known.
        mean_kept_tokens: prompt tokens in the cache, on average over the steps; more than the bill
            says, if they were evicted in the middle of the answer.
    """

    finish_reason: FinishReason | None
    bill: Bill
    choice: int = -1
    choice_probabilities: tuple[float, ...] = ()
    mean_token_probability: float = 0.0
    mean_kept_tokens: int = 0


@dataclass(frozen=True)
class Listener:
    """Told of progress as it happens.

    Arguments:
        planned: takes the bill after the prefill.
        text: takes more text, the response's length so far, how much of it is thinking [tokens],
            and what closes the text so far; None: nothing does, or it is what it was.
        predicted: takes the predicted lengths before that, as AskerLengths has them.
    """

    planned: Callable[[Bill], None]
    text: Callable[[str, int, int, Closing | None], None]
    predicted: Callable[[tuple[float, ...]], None] = lambda _: None


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
        predictor: reads the prompt during the prefill. If it takes longer, the answer waits for
            it, and the bill shows this time.
        stream: new for each answer.
        interrupt: cuts the generation off: at the deadline less the reserve, or earlier.
        listener: told of progress.
    """
    prompt_tokens = len(question.token_ids)
    guided = Guided.by(question.form, engine.target.stop_token_ids, stream)
    if not guided.is_guessed:
        planner = _without_guesses(planner)
    room = engine.target.context_length - prompt_tokens
    max_new_tokens = guided.max_new_tokens(min(question.max_new_tokens, room))
    reason: FinishReason | None = None
    record = BillRecorder(prompt_tokens, interrupt.give_way)
    beginning = engine.begin(question.token_ids, max_new_tokens)
    try:
        cached_tokens = record.begun(beginning.cached_tokens)
        expected_s = planner.prefill_time_s(prompt_tokens, cached_tokens)
        with _reading(predictor, guided, question, expected_s, beginning.sums) as reading:
            prefilled = engine.prefill(
                question.token_ids, max_new_tokens, interrupt, beginning=beginning
            )
        prefill_time_s = record.prefilled()
        length = _finite(reading.distribution())
        record.predicted()

        steps = guided.max_steps(max_new_tokens)
        if length is not None:
            listener.predicted(tuple(in_cells(length, max_new_tokens).tolist()))
        lengths = guided.lengths(length, steps, question.lengths)
        loop = planner.closed_loop(prompt_tokens, lengths)
        plan = planner.plan_after_prefill(
            prompt_tokens,
            steps,
            cached_tokens=cached_tokens,
            prefill_time_s=prefill_time_s,
            predicted_response_tokens=_predicted_tokens(question, length, lengths),
            remaining_s=interrupt.deadline.remaining_s(),
            loop=loop,
        )
        listener.planned(record.planned(plan))
        if plan.kept_tokens < prompt_tokens:
            engine.evict(prefilled, plan.kept_tokens)
            record.evicted()
            loop = None
        midway = MidwayEviction(engine, prefilled, loop, record, interrupt.deadline, guided.passes)

        if closing := guided.new_closing():
            listener.text('', 0, 0, closing)
        for token_id, reason in engine.decode(
            prefilled, max_new_tokens, interrupt, guided.guide, guided.probability, guided.passes
        ):
            text = guided.add(token_id)
            listener.text(text, record.decoded(), stream.thinking_tokens, guided.new_closing())
            if reason is None:
                midway.evict_if_worth_it()
        listener.text(guided.end(), record.response_tokens, stream.thinking_tokens, None)
    except InterruptedGenerationError:
        reason = None
    finally:
        engine.prefixes.done(beginning)
    return Generation(
        reason,
        record.ended(stream.thinking_tokens, *guided.billed()),
        *guided.confidence(),
        record.mean_kept_tokens,
    )


def _without_guesses(planner: BudgetPlanner) -> BudgetPlanner:
    """Return a planner of an answer of which no tokens are guessed."""
    model = planner.time_model
    return replace(planner, time_model=replace(model, speculates=False)) if model else planner


@contextmanager
def _reading(
    predictor: LengthPredictor,
    guided: Guided,
    question: Question,
    prefill_s: float,
    sums: StateSums,
) -> Iterator[LengthReading]:
    """Have the predictor read beside the prefill; it tells nothing of choices that are scored."""
    if not guided.is_scored:
        ids = question.token_ids
        with predictor.beside_prefill(question.prompt, ids, prefill_s, sums) as reading:
            yield reading
        return
    with predictor.beside_preparation(question.token_ids, sums):  # for the next prompts
        yield NoPredictor()


def _finite(predicted: LengthDistribution | None) -> LengthDistribution | None:
    """Return what is predicted; None if it is no numbers, as a damaged predictor tells."""
    if predicted is None or math.isfinite(predicted.probabilities.sum()):
        return predicted
    return None


def _predicted_tokens(
    question: Question, predicted: LengthDistribution | None, lengths: RemainingLengths
) -> int | None:
    """Return N_hat; None: nothing is known."""
    if question.lengths is not None:
        return lengths.median
    return predicted.predicted_tokens(lengths.max_new_tokens) if predicted else None
