"""Answers once, so that the first query is not the slow one: every kernel is touched."""

import torch

from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.deadline import Deadline
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.length.length_predictor import LengthPredictor
from timebill_ros.inference.pipeline import Listener, Question, answer
from timebill_ros.inference.text_stream import TextStream

WARM_UP_PROMPT = 'List three things that a robot arm can do. ' * 16
_TOKENS = 8


def warm_up(
    engine: Engine, predictor: LengthPredictor, stream: TextStream, token_ids: list[int]
) -> None:
    """Answer WARM_UP_PROMPT, and have the scorer get to know the tokenizer.

    Arguments:
        stream: new.
        token_ids: of the prompt, with the chat template applied; cut to half of the context.
    """
    if engine.target.evicts:
        engine.scorer.for_prompt(torch.tensor(token_ids[:1]), engine.target.tokenizer)
    answer(
        engine,
        BudgetPlanner(),
        predictor,
        stream,
        Question(WARM_UP_PROMPT, token_ids[: engine.target.context_length // 2], _TOKENS),
        Interrupt(Deadline(float('inf'))),
        Listener(planned=lambda _: None, text=lambda *_: None),
    )
