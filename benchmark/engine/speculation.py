"""Measures what guessed tokens gain: the same answers with and without them, taking turns."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any
from unittest import mock

from benchmark.budgets.tasks import TASKS
from benchmark.budgets.tasks.task import Material
from benchmark.engine.agreement import PROMPTS
from benchmark.eviction.evicted_answers import NEVER, copied
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.core.outcome import FinishReason
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.loaded_engine import loaded_engine
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.inference.loading.model_source import BUILT_IN
from timebill_ros.inference.prefilled import Prefilled
from timebill_ros.inference.step.answer_steps import PassCount
from timebill_ros.inference.step.native_step import NativeStep
from timebill_ros.inference.step.step_costs import step_costs
from timebill_ros.progress import Progress

SEED = 20251127
COST_LENGTHS = (128, 512, 2048)
COPYING = ('codes', 'names', 'inventory', 'staff')
ITEMS_A_TASK = 8
FREE_TOKENS = 128
ROUNDS = 3
"""The shortest time of each answer counts."""


@dataclass(frozen=True)
class Decoded:
    """One answer.

    Arguments:
        ids: its tokens.
        reason: why it ended.
        counted_passes: through the model, as a bill counts them.
        seconds: the time of decoding.
    """

    ids: tuple[int, ...]
    reason: FinishReason | None
    counted_passes: float
    seconds: float


@dataclass(frozen=True)
class Pair:
    """One answer without and with guesses, and how many passes there were with them."""

    plain: Decoded
    guessed: Decoded
    passes: int


def speculation(seed: int = SEED, items_a_task: int = ITEMS_A_TASK) -> dict[str, Any]:
    """Return costs of steps over several tokens, and figures of copying and of free text."""
    guessing = loaded_engine(ModelSettings(model=BUILT_IN))
    step = guessing.step
    assert isinstance(step, NativeStep), 'the compiled step is there'
    model = guessing.target.model
    found: dict[str, Any] = {
        'costs': {n: step_costs(step, model, cached_tokens=[n]) for n in COST_LENGTHS},
        'seed': seed,
        'rounds': ROUNDS,
    }
    chat = ChatPrompt(guessing.target.tokenizer)
    groups = {
        'copying': list(_copying(chat, seed, items_a_task)),
        'free_text': [(chat.token_ids(prompt), FREE_TOKENS) for prompt in PROMPTS[:-1]],
    }
    with Progress(sum(map(len, groups.values())), 'answers') as progress:
        for name, items in groups.items():
            pairs = []
            for ids, longest in items:
                pairs.append(_both(guessing, ids, longest, Random(seed)))
                progress.advance(1, name)
            found[name] = _summary(pairs)
    return found


def _copying(chat: ChatPrompt, seed: int, items_a_task: int) -> Iterator[tuple[list[int], int]]:
    for task in TASKS:
        if task.name in COPYING:
            material = Material(
                None, Random(f'{seed} {task.name}'), lambda text: len(chat.token_ids(text))
            )
            for item in task.items(items_a_task, seed, material):
                yield chat.token_ids(item.prompt), item.max_new_tokens


def _both(guessing: Engine, ids: list[int], longest: int, chance: Random) -> Pair:
    plain = Engine(guessing.target, guessing.settings, guessing.scorer, guessing.step)
    longest = min(longest, guessing.target.context_length - len(ids))
    prefilled = guessing.prefill(ids, longest, NEVER)

    def copy() -> Prefilled:
        return copied(guessing, prefilled, longest, guessing.scorer.window)

    runs: dict[Engine, list[Decoded]] = {plain: [], guessing: []}
    for _ in range(ROUNDS):
        for engine in chance.sample(list(runs), len(runs)):
            runs[engine].append(_decoded(engine, copy(), longest))
    step = guessing.step
    assert isinstance(step, NativeStep), 'only that guesses'
    with mock.patch.object(step, 'several', wraps=step.several) as spy:  # counts
        runs[guessing].append(_decoded(guessing, copy(), longest))
    assert all(len({run.ids for run in found}) == 1 for found in runs.values())
    before, after = (min(found, key=lambda run: run.seconds) for found in runs.values())
    return Pair(before, after, spy.call_count)


def _decoded(engine: Engine, prefilled: Prefilled, longest: int) -> Decoded:
    passes = PassCount()
    start_s = time.perf_counter()
    pairs = list(engine.decode(prefilled, longest, NEVER, passes=passes))
    seconds = time.perf_counter() - start_s
    return Decoded(tuple(token for token, _ in pairs), pairs[-1][1], passes.steps, seconds)


def _summary(pairs: list[Pair]) -> dict[str, Any]:
    """Compare answers; those that end as a loop are counted apart: they flatter."""
    ended = [pair for pair in pairs if pair.plain.reason is not FinishReason.REPETITION]
    plain_s = sum(pair.plain.seconds for pair in ended)
    tokens = sum(len(pair.plain.ids) - 1 for pair in ended)
    return {
        'identical': sum(pair.plain.ids == pair.guessed.ids for pair in pairs),
        'n': len(pairs),
        'loops': len(pairs) - len(ended),
        'tokens': tokens,
        'speedup': plain_s / sum(pair.guessed.seconds for pair in ended),
        'slowest': max(pair.guessed.seconds / pair.plain.seconds for pair in ended),
        'tokens_per_pass': tokens / sum(pair.passes for pair in ended),
        'accepted_per_pass': tokens / sum(pair.passes for pair in ended) - 1,
        'counted_speedup': tokens / sum(pair.guessed.counted_passes for pair in ended),
        'step_ms': 1000 * plain_s / tokens,
    }


def main() -> int:
    """Print the figures."""
    print(json.dumps(speculation(), indent=2))
    return 0


if __name__ == '__main__':
    main()
