"""The slope of a straight line through samples, with its confidence interval."""

import numpy as np

_T_QUANTILE = ((5, 2.571), (10, 2.228), (20, 2.086), (30, 2.042), (60, 2.0))
"""Student's t, 97.5 %: degrees of freedom and quantile; above, the normal one."""


def slope_with_interval(x: list[float], y: list[float]) -> tuple[float, list[float]]:
    """Return the least-squares slope of y over x, and its 95 % interval.

    Raises:
        ValueError: fewer than 7 samples.
    """
    if len(x) < 7:
        raise ValueError(f'a slope needs at least 7 samples, got {len(x)}')
    from_mean = np.asarray(x) - np.mean(x)
    spread = float(np.sum(from_mean**2))
    slope = float(np.sum(from_mean * np.asarray(y))) / spread
    residuals = np.asarray(y) - np.mean(y) - slope * from_mean
    freedom = len(x) - 2
    quantile = next((t for least, t in reversed(_T_QUANTILE) if freedom >= least), 2.571)
    half = quantile * float(np.sqrt(np.sum(residuals**2) / freedom / spread))
    return slope, [slope - half, slope + half]
