"""Measures the cost of the length predictor: prefills with and without it, interleaved."""

import math
import random
import statistics
import time
from dataclasses import dataclass

import torch

from timebill_ros.core.deadline import Deadline
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.length.prefill_states import PrefillStates
from timebill_ros.inference.length.state_head import StateHead
from timebill_ros.inference.length.state_predictor import StateReading
from timebill_ros.progress import Progress

LENGTHS = (64, 128, 256, 512, 1024, 2048, 4096)
ROUNDS = 10
_NEVER = Interrupt(Deadline(math.inf))


@dataclass(frozen=True)
class PredictorTimes:
    """Medians at one prompt length.

    Arguments:
        prompt_tokens: of random prompts.
        prefill_ms, with_predictor_ms: of the prefill alone, and with the predictor beside it.
        added_percent: of the first.
        added_percent_quartiles: of the pairs' differences.
        predict_ms: the head's own time.
        ready_share: how often the prediction was there before the prefill ended.
        left_ms: from the prediction to the prefill's end.
        n: pairs.
    """

    prompt_tokens: int
    prefill_ms: float
    with_predictor_ms: float
    added_percent: float
    added_percent_quartiles: tuple[float, float]
    predict_ms: float
    ready_share: float
    left_ms: float
    n: int


def predictor_times(engine: Engine, head: StateHead, seed: int) -> list[PredictorTimes]:
    """Measure prefills with and without a predictor beside them, in turns."""
    chance = random.Random(seed)
    vocabulary = len(engine.target.tokenizer)
    runs: dict[int, list[tuple[float, float, float, float]]] = {length: [] for length in LENGTHS}
    with Progress((ROUNDS + 1) * len(LENGTHS), 'prefills') as progress:
        for round_number in range(ROUNDS + 1):
            for length in LENGTHS:
                ids = [chance.randrange(vocabulary) for _ in range(length)]
                orders = [False, True] if round_number % 2 else [True, False]
                measured = {with_it: _measured(engine, head, ids, with_it) for with_it in orders}
                if round_number:  # the first is to warm up
                    runs[length].append((measured[False][0], *measured[True]))
                progress.advance(1, f'{length} tokens')
    return [_summary(length, of_length) for length, of_length in runs.items()]


def _measured(
    engine: Engine, head: StateHead, ids: list[int], with_it: bool
) -> tuple[float, float, float]:
    """Return the prefill's time, the head's, and from the prediction to the end [s]."""
    if not with_it:
        start_s = time.perf_counter()
        engine.prefill(ids, 1, _NEVER)
        return time.perf_counter() - start_s, 0.0, 0.0
    reading = StateReading(head, len(ids))
    spent: list[float] = []

    def timed(states: torch.Tensor) -> None:
        begin_s = time.perf_counter()
        reading.read(states)
        spent.extend([time.perf_counter() - begin_s, time.perf_counter()])

    start_s = time.perf_counter()
    with PrefillStates(engine.target.model, head.layers, len(ids), timed).reading():
        engine.prefill(ids, 1, _NEVER)
    end_s = time.perf_counter()
    assert reading.distribution() is not None
    return end_s - start_s, spent[0], end_s - spent[1]


def _summary(length: int, runs: list[tuple[float, float, float, float]]) -> PredictorTimes:
    alone, beside, head, left = zip(*runs, strict=True)
    added = [100.0 * (two / one - 1.0) for one, two in zip(alone, beside, strict=True)]
    low, _, high = statistics.quantiles(added, n=4)
    return PredictorTimes(
        prompt_tokens=length,
        prefill_ms=1e3 * statistics.median(alone),
        with_predictor_ms=1e3 * statistics.median(beside),
        added_percent=100.0 * (statistics.median(beside) / statistics.median(alone) - 1.0),
        added_percent_quartiles=(low, high),
        predict_ms=1e3 * statistics.median(head),
        ready_share=sum(value > 0.0 for value in left) / len(left),
        left_ms=1e3 * statistics.median(left),
        n=len(runs),
    )
