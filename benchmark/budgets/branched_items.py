"""The items of `make bench-closed_loop` and their answers, decoded when they are asked for."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from benchmark.budgets.branch_file import Branches, BranchFile
from benchmark.budgets.branching import Branching
from benchmark.budgets.closed_loop_arms import Answers
from benchmark.budgets.recording import Recorder
from benchmark.budgets.simulated_clock import FITTED, SimulatedClock
from benchmark.budgets.tasks import TASKS, task_items
from benchmark.budgets.tasks.task import Item
from benchmark.budgets.way import Way
from benchmark.eviction.evicted_answers import NEVER
from timebill_ros.core.answer_worth import AnswerWorth
from timebill_ros.core.length_distribution import LengthDistribution
from timebill_ros.inference.length.predictor_loader import load_predictor
from timebill_ros.inference.loaded_engine import loaded_engine
from timebill_ros.inference.loading.cache_folder import cache_folder
from timebill_ros.inference.measured_time_model import profile_key

MADE_UP = TASKS[:4]


class BranchedItems:
    """Reads prompts and writes answers with the built-in model.

    Arguments:
        recorder: its engine is used by no one else meanwhile.
        file: where answers come from and go to.
    """

    def __init__(self, recorder: Recorder, file: BranchFile) -> None:
        self._recorder = recorder
        self._file = file
        self.predictor_name = recorder.predictor.name
        self.min_kept_tokens = recorder.engine.min_kept_tokens

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator['BranchedItems']:
        """Yield the source; its file is open meanwhile."""
        engine = loaded_engine()
        predictor = load_predictor('auto', engine.target, engine.settings.repetition_penalty)
        profile = profile_key(engine)
        key = {
            'model': profile.model,
            'weights_hash': profile.weights_hash,
            'dtype': profile.dtype,
            'quantization': profile.quantization,
            'kernels': profile.kernels,
            'predictor': predictor.name,
        }
        path = cache_folder() / 'budgets' / f'closed_loop-{profile.model}.jsonl'
        with BranchFile(path, key) as file:
            yield cls(Recorder(engine, predictor), file)

    def items(self, count: int, seed: int) -> list[Item]:
        """Return so many questions of each task, one task after the other."""
        tokenizer = self._recorder.engine.target.tokenizer

        def count_tokens(text: str) -> int:
            return len(tokenizer(text, add_special_tokens=False)['input_ids'])

        tasks = [task_items(task, count, seed, {}, count_tokens) for task in MADE_UP]
        return [item for group in zip(*tasks, strict=True) for item in group]

    def is_known(self, item: Item) -> bool:
        """Tell whether some of an item's answers are there."""
        return item.key in self._file.found

    @contextmanager
    def answers(self, item: Item, worth: AnswerWorth) -> Iterator[Answers]:
        """Yield an item's answers; those that were decoded meanwhile are kept.

        Arguments:
            worth: of an evicted answer, as expected.
        """
        reading = _Reading(self._recorder, item)
        known = self._file.found.get(item.key)
        if known is None:
            reading.read()
            known = Branches(reading.prompt_tokens, reading.longest, reading.length)
        clock = SimulatedClock.of(
            FITTED, known.prompt_tokens, 2 * known.longest, int(item.key[-8:], 16)
        )
        yield Answers(
            item,
            known.prompt_tokens,
            clock,
            known.length,
            known.longest,
            worth,
            reading.decode,
            known.pieces,
        )
        self._file.save(item.key, known)
        reading.branching = None  # its cache is large


class _Reading:
    """Reads an item's prompt, as soon as an answer is asked for that is not known."""

    def __init__(self, recorder: Recorder, item: Item) -> None:
        self._recorder, self._item = recorder, item
        self._ids = recorder.chat.token_ids(item.prompt)
        self.prompt_tokens = len(self._ids)
        room = recorder.engine.target.context_length - self.prompt_tokens
        self.longest = min(item.max_new_tokens, room)
        self.length: LengthDistribution | None = None
        self.branching: Branching | None = None

    def read(self) -> Branching:
        engine, predictor = self._recorder.engine, self._recorder.predictor
        with predictor.beside_prefill(self._item.prompt, self._ids, math.inf) as reading:
            prefilled = engine.prefill(self._ids, self.longest, NEVER)
        self.length = reading.distribution()
        self.branching = Branching(engine, self._recorder.detokenizer, prefilled, self.longest)
        return self.branching

    def decode(self, way: Way) -> list[str]:
        return (self.branching or self.read()).pieces(way)
