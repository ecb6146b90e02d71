"""Measures the time and memory that eviction saves, and its own cost."""

import math
import random
import time
from typing import Any

import numpy as np

from benchmark.eviction.evicted_answers import NEVER
from timebill_ros.inference.cache.scorers.scorer import Scorer
from timebill_ros.inference.engine import Engine
from timebill_ros.progress import Progress

RATIOS = (0.0, 0.25, 0.5, 0.75, 0.95)
PROMPT_LENGTHS = (512, 1024, 2048, 4096)
STEPS, COST_REPEATS = 16, 3


def costs(engine: Engine, seed: int) -> dict[str, Any]:
    """Return step time, resident bytes, eviction's cost and break-even, by length and ratio.

    Arguments:
        seed: of the prompts, which are random tokens, and of the order.
    """
    raw: dict[tuple[int, float], list[tuple[float, float, int]]] = {}
    chance = random.Random(seed)
    runs = [
        (length, ratio)
        for _ in range(COST_REPEATS)
        for length in PROMPT_LENGTHS
        for ratio in chance.sample(RATIOS, len(RATIOS))
    ]
    with Progress(len(runs), 'runs') as progress:
        for length, ratio in runs:
            raw.setdefault((length, ratio), []).append(_one_cost(engine, length, ratio, chance))
            progress.advance(1, 'costs')
    found_costs: dict[str, Any] = {}
    for length in PROMPT_LENGTHS:
        plain_ms = float(np.median([run[1] for run in raw[length, 0.0]]))
        for ratio in RATIOS:
            found = raw[length, ratio]
            step_ms = float(np.median([run[1] for run in found]))
            eviction_ms = float(np.median([run[0] for run in found]))
            saved_ms = plain_ms - step_ms
            found_costs.setdefault(str(ratio), {})[str(length)] = {
                'step_ms': step_ms,
                'step_ms_runs': [run[1] for run in found],
                'kv_bytes': found[0][2],
                'eviction_ms': eviction_ms,
                'break_even_tokens': (
                    math.ceil(eviction_ms / saved_ms) if ratio and saved_ms > 0 else None
                ),
            }
    return found_costs


def _one_cost(
    engine: Engine, length: int, ratio: float, chance: random.Random
) -> tuple[float, float, int]:
    """Return eviction [ms], median step [ms] and the cache's bytes for one random prompt."""
    ids = [chance.randrange(len(engine.target.tokenizer)) for _ in range(length)]
    prefilled = engine.prefill(ids, STEPS, NEVER)
    start_s = time.perf_counter()
    engine.evict(prefilled, _kept(engine.scorer, length, ratio))
    eviction_ms = 1000 * (time.perf_counter() - start_s)
    times_s = [time.perf_counter()]
    for _ in engine.decode(prefilled, STEPS, NEVER):
        times_s.append(time.perf_counter())
    # The first token came from the prefill.
    return eviction_ms, 1000 * float(np.median(np.diff(times_s)[1:])), prefilled.cache.nbytes


def _kept(scorer: Scorer, length: int, ratio: float) -> int:
    return min(length, max(scorer.min_kept_tokens, math.floor((1 - ratio) * length)))
