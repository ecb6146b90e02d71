"""Times of arrival: single random queries, or bursts; drawn from a seed."""

import random
from collections.abc import Callable

_BURST_SIZES = (3, 5, 8, 12)


def poisson(count: int, rate: float, draw: random.Random) -> list[float]:
    """Return times of arrival [s], the first at 0, with exponential gaps.

    Arguments:
        count: number of arrivals.
        rate: their mean number in a second [1/s].
    """
    times, at_s = [], 0.0
    for _ in range(count):
        times.append(at_s)
        at_s += draw.expovariate(rate)
    return times


def bursts(count: int, rate: float, draw: random.Random) -> list[float]:
    """Return times of arrival [s], the first at 0: several at once, at the same mean rate."""
    times: list[float] = []
    at_s = 0.0
    while len(times) < count:
        size = min(draw.choice(_BURST_SIZES), count - len(times))
        times.extend([at_s] * size)
        at_s += size * draw.uniform(0.5, 1.5) / rate
    return times


PATTERNS: dict[str, Callable[[int, float, random.Random], list[float]]] = {
    'poisson': poisson,
    'bursts': bursts,
}
