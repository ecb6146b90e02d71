"""The slope of a straight line through samples, with its confidence interval."""

from scipy import stats


def slope_with_interval(x: list[float], y: list[float]) -> tuple[float, list[float]]:
    """Return the least-squares slope of y over x, and its 95 % interval.

    Raises:
        ValueError: fewer than 7 samples.
    """
    if len(x) < 7:
        raise ValueError(f'a slope needs at least 7 samples, got {len(x)}')
    line = stats.linregress(x, y)
    half = float(stats.t.ppf(0.975, len(x) - 2) * line.stderr)
    return float(line.slope), [float(line.slope) - half, float(line.slope) + half]
