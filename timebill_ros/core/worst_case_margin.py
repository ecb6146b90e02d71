"""Computes the worst-case margins over the mean, from whole generations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from statistics import NormalDist

import numpy as np

from timebill_ros.core.answer_noise import AnswerNoise, Residual
from timebill_ros.core.time_model import BOUND_SHARE, TimeModel

DEFAULT_DELTA = 0.25
"""Margin while fewer than FEW_GENERATIONS were measured: at least this."""
LARGEST_DELTA = 1.0
"""Twice the mean; beyond it the figure says more of the noise than of the model."""
FEW_GENERATIONS = 20
FEW_STEPS = 16
"""Shorter decodings do not count for the time after the prefill: single steps are noisy."""
PRIOR = AnswerNoise(common=0.08, step=0.25)
"""Before anything was measured. The shares as for AnswerPace: eight steps are known as well as the
machine."""
LEAST_SPREADS = 1.0
"""The worst case lies so many standard deviations above the mean at least."""
ITERATIONS = 8
"""Of a fit of the noise."""


@dataclass(frozen=True)
class MeasuredGeneration:
    """One whole generation, measured: N_x, prompt tokens kept, N [tokens], and its times [s]."""

    prompt_tokens: int
    kept_tokens: int
    response_tokens: int
    prefill_s: float
    eviction_s: float
    decode_s: float
    cached_tokens: int = 0


def with_margins(model: TimeModel, generations: Sequence[MeasuredGeneration]) -> TimeModel:
    """Return the model with margins that bound BOUND_SHARE of such generations.

    The noise has a part of whole generations and one of single steps: AnswerNoise. The margins
    are so many standard deviations of it as the longest generations need. The common margin is
    in 0..1. If the machine was busy with other work, a single generation may take many times the
    mean. A margin above 1 would bound it too, but then no query seems possible in time.
    """
    found = [list(residuals(model, generation)) for generation in generations]
    noise = PRIOR
    for _ in range(ITERATIONS):
        noise = noise.learned(PRIOR, [residual for each in found for residual in each])
    parts = [[each[part] for each in found if len(each) > part] for part in (0, 1)]
    spreads = [upper_quantile(noise.scores(part), BOUND_SHARE) for part in parts if part]
    spreads.append(LEAST_SPREADS)
    if len(generations) < FEW_GENERATIONS:
        spreads.append(DEFAULT_DELTA / noise.common)
    return margins_of(model, noise, min(max(spreads), LARGEST_DELTA / noise.common))


def margins_of(model: TimeModel, noise: AnswerNoise, spreads: float) -> TimeModel:
    """Return the model with margins of so many standard deviations of the noise."""
    return replace(
        model,
        delta=spreads * noise.common,
        step_delta=spreads * noise.step,
        bound_spreads=spreads,
    )


def residuals(model: TimeModel, generation: MeasuredGeneration) -> Iterator[Residual]:
    """Yield how far the whole time lies from its prediction, then that after the prefill.

    Short answers have no second one: see FEW_STEPS.
    """
    g = generation
    steps = g.response_tokens - 1
    measured_s = g.eviction_s + g.decode_s
    predicted_s = model.t_after_prefill(g.prompt_tokens, g.kept_tokens, g.response_tokens)
    decode_s = model.t_decode(g.kept_tokens, g.response_tokens)
    whole_s = predicted_s + model.t_prefill(g.prompt_tokens, g.cached_tokens)
    yield Residual((g.prefill_s + measured_s) / whole_s - 1.0, decode_s / whole_s, steps)
    if steps >= FEW_STEPS and predicted_s > 0.0:
        yield Residual(measured_s / predicted_s - 1.0, decode_s / predicted_s, steps)


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
    spread = float(np.std(ordered, ddof=1)) if count > 1 else 0.0
    normal = NormalDist()
    missing = normal.inv_cdf(share) - normal.inv_cdf(count / (count + 1))
    return ordered[-1] + missing * spread
