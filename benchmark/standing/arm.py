"""Answers by the worker's own pipeline, with what is kept of earlier prompts, or without."""

import math
import time
from dataclasses import dataclass, field

from tokenizers import Tokenizer

from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.deadline import Deadline
from timebill_ros.core.time_model import TimeModel
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.length.length_predictor import LengthPredictor
from timebill_ros.inference.pipeline import Listener, Question, answer
from timebill_ros.inference.prefix.prefix_cache import PrefixCache
from timebill_ros.inference.text_stream import TextStream


@dataclass(frozen=True)
class Answered:
    """An answer and what it took: to the first token, in all, and of it the prefill [s].

    Arguments:
        predicted_prefill_s: by the time model of this machine; NaN where there is none.
    """

    text: str
    first_token_s: float
    total_s: float
    prefill_s: float
    cached_tokens: int
    predicted_prefill_s: float = math.nan


@dataclass
class Arm:
    """One way of the engine.

    Arguments:
        engine: both arms', so that they share the model.
        prefixes: keeps prompts; its bound is 0 where nothing is reused.
        model: of the times, in which nothing is learned meanwhile; None: nothing is predicted.
    """

    engine: Engine
    predictor: LengthPredictor
    prefixes: PrefixCache
    model: TimeModel | None = None
    _detokenizer: Tokenizer = field(init=False)

    def __post_init__(self) -> None:
        tokenizer = self.engine.target.tokenizer.backend_tokenizer
        self._detokenizer = Tokenizer.from_str(tokenizer.to_str())

    def answer(self, prompt: str, token_ids: list[int], max_new_tokens: int) -> Answered:
        """Answer a question."""
        self.engine.prefixes = self.prefixes
        texts: list[str] = []
        known_s: list[float] = []

        def hear(text: str, *_: object) -> None:
            known_s.append(time.perf_counter())
            texts.append(text)

        start_s = time.perf_counter()
        bill = answer(
            self.engine,
            BudgetPlanner(),
            self.predictor,
            TextStream(self._detokenizer),
            Question(prompt, token_ids, max_new_tokens),
            Interrupt(Deadline(float('inf'))),
            Listener(lambda _: None, hear),
        ).bill
        end_s = time.perf_counter()
        predicted_s = (
            self.model.t_prefill(bill.prompt_tokens, bill.cached_tokens)
            if self.model
            else math.nan
        )
        return Answered(
            ''.join(texts),
            known_s[0] - start_s,
            end_s - start_s,
            bill.prefill_time,
            bill.cached_tokens,
            predicted_s,
        )

    def hand_over_s(self, token_ids: list[int], max_new_tokens: int) -> tuple[float, bool]:
        """Return how long it takes to get what is cached of a prompt, and whether by a copy."""
        self.engine.prefixes = self.prefixes
        start_s = time.perf_counter()
        beginning = self.engine.begin(token_ids, max_new_tokens)
        self.engine.synchronize()
        took_s = time.perf_counter() - start_s
        self.prefixes.done(beginning)
        return took_s, beginning.entry is None
