"""Generations of a simulated machine: the fitted model, with noise and drift inside an answer."""

import math
import random

from benchmark.budgets.simulated_clock import FITTED, SimulatedClock
from timebill_ros.core.worst_case_margin import MeasuredGeneration

SHORTEST_PROMPT, LONGEST_PROMPT = 24, 2048
RATIOS = (0.0, 0.25, 0.5, 0.75, 0.95)
LONGEST_RESPONSES = (48, 160)
MIN_KEPT = 80


def simulated_generations(
    count: int, seed: int, reading: float = 1.0, writing: float = 1.0
) -> list[MeasuredGeneration]:
    """Return generations of random lengths and eviction ratios.

    Arguments:
        seed: of lengths and noise.
        reading, writing: factors on the times of prefills, and of steps and evictions.
    """
    chance = random.Random(seed)
    return [_generation(chance, reading, writing) for _ in range(count)]


def _generation(chance: random.Random, reading: float, writing: float) -> MeasuredGeneration:
    low, high = math.log(SHORTEST_PROMPT), math.log(LONGEST_PROMPT)
    prompt = round(math.exp(chance.uniform(low, high)))
    response = chance.randint(4, chance.choice(LONGEST_RESPONSES))
    kept = min(prompt, max(MIN_KEPT, round((1.0 - chance.choice(RATIOS)) * prompt)))
    clock = SimulatedClock.of(FITTED, prompt, response, chance.randrange(2**31))
    decode_s = sum(clock.step_s(written, kept) for written in range(response))
    eviction_s = clock.eviction_s(0) if kept < prompt else 0.0
    return MeasuredGeneration(
        prompt,
        kept,
        response,
        reading * clock.prefill_s(0),
        writing * eviction_s,
        writing * decode_s,
    )
