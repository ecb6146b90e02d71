"""Computes the worst-case margin (delta) over the mean, from whole generations."""

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
class MeasuredGeneration:
    """One whole generation, measured: N_x, prompt tokens kept, N [tokens], and its times [s]."""

    prompt_tokens: int
    kept_tokens: int
    response_tokens: int
    prefill_s: float
    eviction_s: float
    decode_s: float


def fit_delta(model: TimeModel, generations: Sequence[MeasuredGeneration]) -> float:
    """Return the margin with which the model bounds 99 % of such generations, in 0..1.

    If the machine was busy with other work, a single generation may take many times the mean. A
    margin above 1 would bound it too, but then no query seems possible in time.
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
    """Return a bound that a new value does not exceed with probability `share`.

    This is the order statistic of rank ceil((n + 1) * share), as in conformal prediction. If there
    are too few values for this rank, it is the largest value plus a distance: from there to the
    quantile of a normal distribution with the standard deviation of the values.

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
