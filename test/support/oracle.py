"""How many of some questions could have been answered by one who knows what each takes."""

import math
from collections.abc import Iterable, Sequence

from support.simulated_backend import Ask


def most_in_order(asks: Iterable[Ask], reserve_s: float) -> int:
    """Return the most that can be answered one after the other, in this order. Exact.

    ends[k] is the earliest end of any k of those so far.

    Arguments:
        asks: in the order in which those that are chosen run.
        reserve_s: an answer must be there so long before its deadline [s].
    """
    ends = [0.0]
    for ask in asks:
        ends.append(math.inf)
        for count in range(len(ends) - 1, 0, -1):
            end_s = max(ends[count - 1], ask.at_s) + ask.duration_s
            if end_s <= ask.at_s + ask.budget_s - reserve_s:
                ends[count] = min(ends[count], end_s)
        if math.isinf(ends[-1]):
            ends.pop()
    return len(ends) - 1


def most_by_deadline(asks: Iterable[Ask], reserve_s: float) -> int:
    """Return the most that can be answered in the order of their deadlines. Exact."""
    return most_in_order(sorted(asks, key=lambda ask: ask.at_s + ask.budget_s), reserve_s)


def most_in_any_order(asks: Sequence[Ask], reserve_s: float) -> int:
    """Return the most that is found: by arrival, by deadline, and the shortest first.

    The last puts one job after the other, the shortest first, into the first gap that it fits.
    The true greatest number (a hard problem) may be a little larger.
    """
    busy: list[tuple[float, float]] = []
    for ask in sorted(asks, key=lambda ask: ask.duration_s):
        start_s = ask.at_s
        for begin_s, end_s in busy:
            if start_s + ask.duration_s <= begin_s:
                break
            start_s = max(start_s, end_s)
        if start_s + ask.duration_s <= ask.at_s + ask.budget_s - reserve_s:
            busy = sorted([*busy, (start_s, start_s + ask.duration_s)])
    return max(len(busy), most_in_order(asks, reserve_s), most_by_deadline(asks, reserve_s))
