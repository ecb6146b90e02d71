"""Fits a time model to measured times: robust least squares on the relative error."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from timebill_ros.core.time_model import TimeModel
from timebill_ros.core.worst_case_margin import MeasuredGeneration, with_margins

Array = NDArray[np.float64]

OUTLIER_SPREADS = 5.0
OUTLIER_FLOOR = 0.05
"""A sample is left out when it is off by more than 5 robust standard deviations, and by 5 %."""
FEW_REPEATS = 3


@dataclass(frozen=True)
class Sample:
    """One measurement: a length [tokens] (N_x, or N_kv before the step), and its time [s]."""

    tokens: int
    seconds: float

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise ValueError(f'tokens must be >= 1, got {self.tokens}')
        if not (isfinite(self.seconds) and self.seconds > 0.0):
            raise ValueError(f'seconds must be finite and > 0, got {self.seconds}')


@dataclass(frozen=True)
class CachedSample:
    """One measured prefill behind tokens that are in the cache.

    Arguments:
        tokens: N_x, all of the prompt.
        cached_tokens: N_c of them, at least 1, need not be read.
        seconds: its time [s].
    """

    tokens: int
    cached_tokens: int
    seconds: float


@dataclass(frozen=True)
class CurveFit:
    """Quality of one fit: samples, samples left out, mean error on the others [%]."""

    samples: int = 0
    left_out: int = 0
    mape: float = 0.0


@dataclass(frozen=True)
class TimeFit:
    """A time model and the quality of its fits. generations: how many the margins come from."""

    model: TimeModel
    prefill: CurveFit
    step: CurveFit
    eviction: CurveFit
    generations: int
    cached: CurveFit = CurveFit()


def fit(
    prefills: Sequence[Sample],
    steps: Sequence[Sample],
    evictions: Sequence[Sample] = (),
    generations: Sequence[MeasuredGeneration] = (),
    cached: Sequence[CachedSample] = (),
) -> TimeFit:
    """Fit the coefficients by least squares on the relative error, and the margins.

    Every coefficient is non-negative. So a time never falls with the length (a, b), and short
    prompts never have a negative time (c, the fixed cost of a call).

    Outliers are left out and counted. If a length was measured 3 times or more, its samples are
    compared with their median: a length is then never left out because it is off the curve.
    Other samples are compared with a first fit that minimises the absolute error. After that,
    every length counts once, with its mean, because the sum of many steps depends on the mean.

    The margins come from the relative residuals of whole generations that the fit has not seen.
    Single steps do not suffice: their noise averages out over a generation, and they do not show
    cold caches or a busy machine. The margins bound the whole time, and after the prefill the rest
    alone: see with_margins. With fewer than 20 generations, delta is at least 0.25.

    Arguments:
        prefills: at least 3 different lengths.
        steps: at least 2 different lengths.
        evictions: at least 2 different lengths; none: eviction costs nothing.
        generations: other generations than those of the samples.
        cached: prefills behind cached tokens; none: to attend to these costs nothing.

    Raises:
        ValueError: too few different lengths.
    """
    (a, b, c), prefill = _fit_curve('prefills', prefills, (2, 1, 0))
    (p, q), step = _fit_curve('steps', steps, (1, 0))
    (e1, e0), eviction = (
        ((0.0, 0.0), CurveFit()) if not evictions else _fit_curve('evictions', evictions, (1, 0))
    )
    mean = TimeModel(a, b, c, p, q, e1, e0)
    mean = replace(mean, d=_cached_token_s(mean, cached))
    model = with_margins(mean, generations)
    quality = _cached_quality(model, cached)
    return TimeFit(model, prefill, step, eviction, len(generations), quality)


def fit_prefill(prefills: Sequence[Sample]) -> TimeModel:
    """Fit a, b and c alone; all other coefficients are 0.

    Arguments:
        prefills: at least 3 different lengths.

    Raises:
        ValueError: too few different lengths.
    """
    (a, b, c), _ = _fit_curve('prefills', prefills, (2, 1, 0))
    return TimeModel(a, b, c, 0.0, 0.0)


def _cached_token_s(model: TimeModel, samples: Sequence[CachedSample]) -> float:
    """Return d, with which the absolute relative errors are least: a weighted median [s].

    Arguments:
        model: without d. It tells the time of the tokens that are read.
    """
    if not samples:
        return 0.0
    left_s = [s.seconds - model.t_prefill(s.tokens, s.cached_tokens) for s in samples]
    each_s = np.array([t / s.cached_tokens for t, s in zip(left_s, samples, strict=True)])
    weights = np.array([s.cached_tokens / s.seconds for s in samples])
    order = np.argsort(each_s)
    half = int(np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2))
    return max(0.0, float(each_s[order][half]))


def _cached_quality(model: TimeModel, samples: Sequence[CachedSample]) -> CurveFit:
    errors = [abs(model.t_prefill(s.tokens, s.cached_tokens) / s.seconds - 1.0) for s in samples]
    return CurveFit(len(errors), 0, 100.0 * float(np.mean(errors)) if errors else 0.0)


def _fit_curve(
    name: str,
    samples: Sequence[Sample],
    powers: tuple[int, ...],
) -> tuple[tuple[float, ...], CurveFit]:
    """Fit seconds = sum of coefficient * tokens^power to samples, without the outliers."""
    tokens = np.array([sample.tokens for sample in samples], dtype=np.float64)
    seconds = np.array([sample.seconds for sample in samples], dtype=np.float64)
    lengths, repeats = np.unique(tokens, return_counts=True)
    if len(lengths) < len(powers):
        raise ValueError(
            f'{name} must hold at least {len(powers)} different lengths, got {len(lengths)}'
        )

    expected = _columns(tokens, powers) @ _least_absolute(tokens, seconds, powers)
    for length in lengths[repeats >= FEW_REPEATS]:
        here = tokens == length
        expected[here] = np.median(seconds[here])
    deviation = np.abs(seconds / expected - 1.0)
    # As many coefficients as samples fit exactly: the spread is not known.
    telling = np.sort(deviation)[min(len(powers), len(samples) - 1) :]
    spread = 1.4826 * float(np.median(telling))
    good = deviation <= max(OUTLIER_SPREADS * spread, OUTLIER_FLOOR)
    if len(np.unique(tokens[good])) < len(powers):
        good[:] = True

    kept = np.unique(tokens[good])
    means = np.array([seconds[good & (tokens == length)].mean() for length in kept])
    coefficients = _least_squares(kept, means, powers, np.ones_like(kept))
    errors = np.abs(_columns(tokens[good], powers) @ coefficients / seconds[good] - 1.0)
    quality = CurveFit(len(samples), int((~good).sum()), 100.0 * float(errors.mean()))
    return tuple(float(value) for value in coefficients), quality


def _least_absolute(tokens: Array, seconds: Array, powers: tuple[int, ...]) -> Array:
    """Minimise the sum of absolute relative errors, by re-weighted least squares."""
    weights = np.ones_like(tokens)
    for _ in range(20):
        coefficients = _least_squares(tokens, seconds, powers, weights)
        errors = np.abs(_columns(tokens, powers) @ coefficients / seconds - 1.0)
        weights = 1.0 / np.maximum(errors, 1e-4)
    return coefficients


def _least_squares(
    tokens: Array,
    seconds: Array,
    powers: tuple[int, ...],
    weights: Array,
) -> Array:
    """Minimise the weighted sum of squared relative errors over non-negative coefficients.

    The optimum is the unconstrained optimum over the coefficients that are not 0. There are at
    most 7 sets of such coefficients, so all are tried.
    """
    root = np.sqrt(weights)
    rows = _columns(tokens, powers) / seconds[:, None] * root[:, None]
    norms = np.sqrt((rows**2).sum(axis=0))
    best, best_error = np.zeros(len(powers)), float((root**2).sum())
    for size in range(1, len(powers) + 1):
        for support in combinations(range(len(powers)), size):
            columns = list(support)
            solution = np.linalg.lstsq(rows[:, columns] / norms[columns], root, rcond=None)[0]
            error = float(((rows[:, columns] / norms[columns] @ solution - root) ** 2).sum())
            if error < best_error and (solution >= 0.0).all():
                best, best_error = np.zeros(len(powers)), error
                best[columns] = solution / norms[columns]
    return best


def _columns(tokens: Array, powers: tuple[int, ...]) -> Array:
    """Return the matrix (samples, powers) of tokens^power."""
    return tokens[:, None] ** np.array(powers, dtype=np.float64)
