"""What an engine goes through: each scenario gives answers that any device must give alike.

A scenario takes an engine and two prompts. It raises ScenarioError if what it is about did not
come about, so that none passes for nothing.
"""

import contextvars
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from benchmark.gpu.comparison import Outcome
from timebill_ros.core.abort_flag import AbortFlag
from timebill_ros.core.deadline import Deadline
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.give_way import GiveWay, Left
from timebill_ros.inference.interrupt import Interrupt, InterruptedGenerationError
from timebill_ros.inference.mean_probability import MeanProbability
from timebill_ros.inference.prefilled import Prefilled
from timebill_ros.inference.prefix.prefix_cache import PrefixCache

NEVER = Interrupt(Deadline(float('inf')))
PATIENT_TOKENS, URGENT_TOKENS, NEW_TOKENS = 400, 90, 12
CHUNKS = ((0, 130), (130, 260), (260, PATIENT_TOKENS))
CUT_AFTER = 5
"""Tokens of an answer, or layers of a prefill, before it is cut off, evicted or left."""
_TAIL = 8


class ScenarioError(Exception):
    """What was to be tried did not come about; one sentence."""


@dataclass(frozen=True)
class Prompts:
    """Token ids of a long prompt and of a more urgent, shorter one."""

    patient: list[int]
    urgent: list[int]


class _SeenLogits(MeanProbability):
    """Keeps the logits that tokens are chosen from."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def see(self, logits: torch.Tensor) -> None:
        self.seen.append(logits.to('cpu', torch.float32, copy=True))
        super().see(logits)


def decoded(
    engine: Engine,
    prefilled: Prefilled,
    interrupt: Interrupt = NEVER,
    after_token: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Return an answer, or as much of it as there is before it is cut off.

    Arguments:
        after_token: called after each token with their number.
    """
    seen, tokens = _SeenLogits(), list[int]()
    try:
        for token, _ in engine.decode(prefilled, NEW_TOKENS, interrupt, probability=seen):
            tokens.append(token)
            after_token(len(tokens))
    except InterruptedGenerationError:
        pass
    return Outcome(tokens, torch.stack(seen.seen[: len(tokens)]))


def answered(
    engine: Engine,
    ids: list[int],
    interrupt: Interrupt = NEVER,
    chunks: Sequence[tuple[int, int]] | None = None,
) -> Outcome:
    """Return a whole answer."""
    return decoded(engine, engine.prefill(ids, NEW_TOKENS, interrupt, chunks), interrupt)


def _whole(engine: Engine, prompts: Prompts) -> list[Outcome]:
    return [answered(engine, prompts.patient), answered(engine, prompts.urgent)]


def _in_chunks(engine: Engine, prompts: Prompts) -> list[Outcome]:
    return [answered(engine, prompts.patient, chunks=CHUNKS)]


def _evicted_before(engine: Engine, prompts: Prompts, ratio: float) -> list[Outcome]:
    prefilled = engine.prefill(prompts.patient, NEW_TOKENS, NEVER)
    engine.evict(prefilled, _kept(ratio))
    return [decoded(engine, prefilled)]


def _evicted_midway(engine: Engine, prompts: Prompts, ratio: float) -> list[Outcome]:
    prefilled = engine.prefill(prompts.patient, NEW_TOKENS, NEVER)

    def evict(tokens: int) -> None:
        if tokens == CUT_AFTER:
            engine.evict(prefilled, _kept(ratio))

    return [decoded(engine, prefilled, after_token=evict)]


def _cut_off_prefill(engine: Engine, prompts: Prompts) -> list[Outcome]:
    ticks = itertools.count()
    interrupt = Interrupt(Deadline(CUT_AFTER, clock=lambda: next(ticks)))
    try:
        engine.prefill(prompts.patient, NEW_TOKENS, interrupt, CHUNKS)
    except InterruptedGenerationError:
        return _whole(engine, prompts)
    raise ScenarioError('the prefill was not cut off')


def _cut_off_answer(engine: Engine, prompts: Prompts) -> list[Outcome]:
    abort = AbortFlag()

    def cut(tokens: int) -> None:
        if tokens == CUT_AFTER:
            abort.set()

    interrupt = Interrupt(Deadline(float('inf')), abort)
    prefilled = engine.prefill(prompts.patient, NEW_TOKENS, interrupt)
    cut_off = decoded(engine, prefilled, interrupt, cut)
    if len(cut_off.tokens) != CUT_AFTER:
        raise ScenarioError(f'{len(cut_off.tokens)} tokens were written, not {CUT_AFTER}')
    return [cut_off, *_whole(engine, prompts)]


def _preempted(engine: Engine, prompts: Prompts, place: int) -> list[Outcome]:
    """Leave at a place: 0 and 1 are between the chunks, the others between the steps."""
    places, urgent = itertools.count(), list[Outcome]()

    def answer_urgent(_: Left) -> int:
        if next(places) != place:
            return 0
        contextvars.Context().run(lambda: urgent.append(answered(engine, prompts.urgent)))
        return 1

    interrupt = Interrupt(Deadline(float('inf')), give_way=GiveWay(answer_urgent))
    patient = answered(engine, prompts.patient, interrupt, CHUNKS)
    if not urgent:
        raise ScenarioError('the urgent prompt was not answered')
    return [patient, *urgent]


def _dropped(engine: Engine, prompts: Prompts) -> list[Outcome]:
    abort, places, urgent = AbortFlag(), itertools.count(), list[Outcome]()
    prefilled = engine.prefill(prompts.patient, NEW_TOKENS, NEVER)

    def drop(left: Left) -> int:
        if next(places) != CUT_AFTER:
            return 0
        abort.set()
        left.free_if_dropped()
        if not prefilled.cache.is_freed:
            raise ScenarioError('the cache of the dropped answer was not freed')
        contextvars.Context().run(lambda: urgent.append(answered(engine, prompts.urgent)))
        return 1

    interrupt = Interrupt(Deadline(float('inf')), abort, give_way=GiveWay(drop))
    return [decoded(engine, prefilled, interrupt), *urgent, *_whole(engine, prompts)]


def _reused(engine: Engine, prompts: Prompts, handed_over: bool) -> list[Outcome]:
    """Read a prompt, then the patient one, which begins alike: its memory or a copy of it."""
    engine.prefixes = PrefixCache(1 << 40, engine.scorer.window)
    try:
        first = [*prompts.patient[:-_TAIL], *prompts.urgent[:_TAIL]]
        beginning = engine.begin(first, NEW_TOKENS)
        prefilled = engine.prefill(first, NEW_TOKENS, NEVER, beginning=beginning)
        before = decoded(engine, prefilled)
        if handed_over:
            engine.prefixes.done(beginning)
        again = engine.begin(prompts.patient, NEW_TOKENS)
        if again.cached_tokens == 0 or (again.entry is None) == handed_over:
            raise ScenarioError('the memory was not reused in that way')
        prefilled = engine.prefill(prompts.patient, NEW_TOKENS, NEVER, beginning=again)
        return [before, decoded(engine, prefilled)]
    finally:
        engine.prefixes = PrefixCache()


def _kept(ratio: float) -> int:
    return round((1 - ratio) * PATIENT_TOKENS)


SCENARIOS: dict[str, Callable[[Engine, Prompts], list[Outcome]]] = {
    'whole': _whole,
    'in chunks': _in_chunks,
    'evicted 0.5': partial(_evicted_before, ratio=0.5),
    'evicted 0.95': partial(_evicted_before, ratio=0.95),
    'evicted midway 0.5': partial(_evicted_midway, ratio=0.5),
    'evicted midway 0.95': partial(_evicted_midway, ratio=0.95),
    'prefill cut off': _cut_off_prefill,
    'answer cut off': _cut_off_answer,
    'prefill preempted': partial(_preempted, place=1),
    'answer preempted': partial(_preempted, place=1 + CUT_AFTER),
    'dropped': _dropped,
    'prefix handed over': partial(_reused, handed_over=True),
    'prefix copied': partial(_reused, handed_over=False),
}
