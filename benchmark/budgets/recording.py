"""Records one prefill for each item, and a timed answer from each evicted copy of its cache.

A copy is made before its clock starts, so it costs nothing in the times. Items, and the ratios
of each, come in a random order, so that none has a quieter machine.
"""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from tokenizers import Tokenizer

from benchmark.budgets.alpha_grid import kept_tokens
from benchmark.budgets.recorded_answer import RecordedAnswer
from benchmark.budgets.recording_file import RecordingFile
from benchmark.budgets.tasks.task import Item
from benchmark.eviction.evicted_answers import NEVER, copied
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.length.length_predictor import LengthPredictor
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.inference.prefilled import Prefilled
from timebill_ros.inference.text_stream import TextStream
from timebill_ros.progress import Progress

ALWAYS = (0.0, 0.25, 0.5, 0.75, 0.95)
"""Recorded for every item: no eviction, and the fixed arms."""


class Recorder:
    """Records answers of one engine.

    Arguments:
        engine: used by no one else meanwhile.
    """

    def __init__(self, engine: Engine, predictor: LengthPredictor) -> None:
        self.engine = engine
        self.predictor = predictor
        self.chat = ChatPrompt(engine.target.tokenizer)
        self.detokenizer = Tokenizer.from_str(engine.target.tokenizer.backend_tokenizer.to_str())

    def warm_up(self, item: Item) -> None:
        """Answer an item and forget it: the first of all runs is the slowest."""
        prefilled = _PrefilledItem(self, item)
        for alpha in (0.0, 0.5):
            prefilled.answer(alpha)


@dataclass(frozen=True)
class Wanted:
    """Answers that are wanted of one item.

    Arguments:
        recorder, recording: whose, and where they go.
        alphas: ratios of GRID.
    """

    recorder: Recorder
    recording: RecordingFile
    item: Item
    alphas: Iterable[float]

    def missing(self) -> list[float]:
        """Return the ratios that are not recorded yet."""
        return sorted(set(self.alphas) - set(self.recording.answers.get(self.item.key, {})))


def record(wanted: Iterable[Wanted], seed: int) -> None:
    """Record what is wanted and not there yet.

    Arguments:
        seed: of the order.
    """
    todo = [(one, missing) for one in wanted if (missing := one.missing())]
    random = Random(seed)
    random.shuffle(todo)
    with Progress(sum(len(missing) for _, missing in todo), 'answers') as progress:
        for one, missing in todo:
            prefilled = _PrefilledItem(one.recorder, one.item)
            for alpha in random.sample(missing, len(missing)):
                one.recording.add(prefilled.answer(alpha))
                progress.advance(1, f'{one.item.task}, {prefilled.prompt_tokens} tokens')


class _PrefilledItem:
    """Answers one item from differently evicted copies of its cache."""

    def __init__(self, recorder: Recorder, item: Item) -> None:
        engine = recorder.engine
        self._engine, self._detokenizer, self._item = engine, recorder.detokenizer, item
        token_ids = recorder.chat.token_ids(item.prompt)
        self.prompt_tokens = len(token_ids)
        self._longest = min(item.max_new_tokens, engine.target.context_length - self.prompt_tokens)
        if self._longest < 1:
            raise ValueError(
                f'prompts must be shorter than the context of {engine.target.context_length} '
                f'tokens, got one of {self.prompt_tokens} in {item.task}'
            )
        predictor = recorder.predictor
        start_s = time.monotonic()
        with predictor.beside_prefill(item.prompt, token_ids, math.inf) as reading:
            self._prefilled = engine.prefill(token_ids, self._longest, NEVER)
        length = reading.distribution()
        self._prefill_s = time.monotonic() - start_s
        self._predicted = length.predicted_tokens(self._longest) if length else self._longest

    def answer(self, alpha: float) -> RecordedAnswer:
        engine = self._engine
        kept = kept_tokens(self.prompt_tokens, alpha, engine.scorer.min_kept_tokens)
        copy = copied(engine, self._prefilled, self._longest, engine.scorer.window)
        engine.synchronize()
        start_s = time.monotonic()
        engine.evict(copy, kept)
        evicted_s = time.monotonic()
        times_s, pieces, finish = self._decoded(copy)
        return RecordedAnswer(
            item=self._item.key,
            task=self._item.task,
            prompt_tokens=self.prompt_tokens,
            max_new_tokens=self._longest,
            predicted_tokens=self._predicted,
            prefill_s=self._prefill_s,
            alpha=alpha,
            kept_tokens=kept,
            eviction_s=evicted_s - start_s if kept < self.prompt_tokens else 0.0,
            times_s=tuple(round(at_s - evicted_s, 6) for at_s in times_s),
            pieces=tuple(pieces),
            finish_reason=finish,
        )

    def _decoded(self, prefilled: Prefilled) -> tuple[list[float], list[str], str]:
        stream, finish = TextStream(self._detokenizer), ''
        times_s: list[float] = []
        pieces: list[str] = []
        for token_id, reason in self._engine.decode(prefilled, self._longest, NEVER):
            pieces.append(stream.add(token_id))
            times_s.append(time.monotonic())
            finish = reason.name if reason else finish
        pieces[-1] += stream.end()
        return times_s, pieces, finish
