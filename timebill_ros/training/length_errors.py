"""Errors of predicted lengths."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class LengthErrors:
    """Errors of predicted lengths, with the measures of the paper.

    Arguments:
        n: how many predictions.
        mae, rmse: mean absolute, root mean squared error [tokens].
        r2: explained share of the variance of the actual lengths; NaN if they are all equal.
    """

    n: int
    mae: float
    rmse: float
    r2: float


def length_errors(predicted: ArrayLike, actual: ArrayLike) -> LengthErrors:
    """Compare predictions with actual lengths, each of shape (n,), n >= 1 [tokens]."""
    real = np.asarray(actual, dtype=np.float64)
    residual = np.asarray(predicted, dtype=np.float64) - real
    spread = float(((real - real.mean()) ** 2).sum())
    return LengthErrors(
        n=len(real),
        mae=float(np.abs(residual).mean()),
        rmse=float(np.sqrt((residual**2).mean())),
        r2=float(1 - (residual**2).sum() / spread) if spread > 0 else float('nan'),
    )
