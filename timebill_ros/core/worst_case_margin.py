"""The margin delta of the worst case over the mean, from whole generations."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import NormalDist, stdev

from timebill_ros.core.time_model import TimeModel

BOUND_SHARE = 0.99
"""Share of generations that the worst case is to bound."""
DEFAULT_DELTA = 0.25
"""Margin while fewer than FEW_GENERATIONS were measured: at least this."""
LARGEST_DELTA = 1.0
"""Twice the mean; beyond it the figure says more of the noise than of the model."""
FEW_GENERATIONS = 20
FEW_STEPS = 16
"""Shorter decodings do not count for the time after the prefill: single steps are noisy."""


@dataclass(frozen=True)
class Generation:
    """One whole generation, measured: N_x, prompt tokens kept, N [tokens], and its times [s]."""

    prompt_tokens: int
    kept_tokens: int
    response_tokens: int
    prefill_s: float
    eviction_s: float
    decode_s: float


def fit_delta(model: TimeModel, generations: Sequence[Generation]) -> float:
    """Return the margin that makes model bound 99 % of generations like these, in 0..1.

    A machine that was busy elsewhere for a while makes single generations take many times their
    mean; a margin that bounds those would have every query planned as if none could be in time.
    """
    whole = [
        (g.prefill_s + g.eviction_s + g.decode_s)
        / model.t_e2e(g.prompt_tokens, g.kept_tokens, g.response_tokens)
        - 1.0
        for g in generations
    ]
    rest = [
        (g.eviction_s + g.decode_s)
        / model.t_after_prefill(g.prompt_tokens, g.kept_tokens, g.response_tokens)
        - 1.0
        for g in generations
        if g.response_tokens > FEW_STEPS
    ]
    deltas = [DEFAULT_DELTA if len(generations) < FEW_GENERATIONS else 0.0]
    deltas += [upper_quantile(residuals, BOUND_SHARE) for residuals in (whole, rest) if residuals]
    return min(max(deltas), LARGEST_DELTA)


def upper_quantile(values: Sequence[float], share: float) -> float:
    """Return a value that a new draw does not exceed with probability share.

    The order statistic of rank ceil((n + 1) * share), as in conformal prediction. With too few
    values for that rank: the largest, plus the distance from there to the quantile asked for, were
    the values normally distributed with their own standard deviation.

    Arguments:
        values: at least one.
        share: in (0, 1).
    """
    ordered = sorted(values)
    count = len(ordered)
    rank = ceil((count + 1) * share - 1e-9)
    if rank <= count:
        return ordered[rank - 1]
    spread = stdev(ordered) if count > 1 else 0.0
    normal = NormalDist()
    missing = normal.inv_cdf(share) - normal.inv_cdf(count / (count + 1))
    return ordered[-1] + missing * spread
