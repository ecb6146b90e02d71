"""How far times lie from the predicted ones: whole answers, and single steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEAST_COMMON = 0.01
"""No machine repeats itself more exactly than this."""
LEAST_STEP = 0.02
"""Nor a step."""
PRIOR_WEIGHT, PRIOR_STEPS = 40.0, 8
"""The noise before counts as so many residuals: half of prefills, half of so many steps."""
CLIP_SPREADS = 2.5
"""A residual counts as no more than so many standard deviations: one outlier says little."""


@dataclass(frozen=True)
class Residual:
    """How far a time lay from its prediction.

    Arguments:
        error: measured / predicted - 1.
        share: of the predicted time that the decoding steps take, in 0..1.
        steps: how many these are.
    """

    error: float
    share: float
    steps: int


@dataclass(frozen=True)
class AnswerNoise:
    """Relative standard deviations of the time of an answer.

    Arguments:
        common: of all times of an answer together: a busy machine slows all of them.
        step: of one decoding step. Over n steps, it averages out to step / sqrt(n).
    """

    common: float
    step: float

    def spread(self, share: float, steps: int) -> float:
        """Return the relative standard deviation of a time.

        Arguments:
            share, steps: as for Residual.
        """
        decode = math.hypot(self.common, self.step / math.sqrt(steps)) if steps else self.common
        return self.common + share * (decode - self.common)

    def scores(self, residuals: Sequence[Residual]) -> list[float]:
        """Return by how many standard deviations each time was longer than predicted."""
        if not residuals:
            return []
        errors, shares, steps = _table(residuals)
        decode = np.hypot(self.common, self.step / np.sqrt(np.maximum(steps, 1.0)))
        found: list[float] = (errors / (self.common + shares * (decode - self.common))).tolist()
        return found

    def learned(self, prior: 'AnswerNoise', residuals: Sequence[Residual]) -> 'AnswerNoise':
        """Return the noise that residuals show, one iteration better than this one.

        The square of an error is, on average, common^2 + step^2 * share^2 / steps. So this is a
        line, fitted by least squares, weighted with this noise. It needs answers of different
        lengths. If all are alike, the prior decides how the noise is divided.

        Arguments:
            prior: what was known before, worth PRIOR_WEIGHT residuals.
            residuals: those that are far off are clipped with this noise.
        """
        rows = [*prior._residuals(), *residuals]
        weights = np.array([PRIOR_WEIGHT / 2.0] * 2 + [1.0] * len(residuals))
        errors, shares, steps = _table(rows)
        averaged = shares**2 / np.maximum(steps, 1.0)
        common, step = max(self.common, LEAST_COMMON) ** 2, max(self.step, LEAST_STEP) ** 2
        variances = common + step * averaged
        # In units of this noise.
        parts = np.array([common / variances, step * averaged / variances])
        squares = np.minimum(errors**2 / variances, CLIP_SPREADS**2)
        learned = np.linalg.solve((weights * parts) @ parts.T, (weights * parts) @ squares)
        common, step = np.sqrt(np.maximum(learned * (common, step), 0.0))
        return AnswerNoise(max(float(common), LEAST_COMMON), max(float(step), LEAST_STEP))

    def _residuals(self) -> list[Residual]:
        """Return what this noise looks like: a prefill, and some steps."""
        steps = PRIOR_STEPS
        return [
            Residual(self.spread(0.0, 0), 0.0, 0),
            Residual(self.spread(1.0, steps), 1.0, steps),
        ]


def _table(residuals: Sequence[Residual]) -> Array:
    """Return errors, shares and steps, (3, residuals)."""
    return np.array([(each.error, each.share, each.steps) for each in residuals]).T
