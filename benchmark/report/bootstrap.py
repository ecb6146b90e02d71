"""How sure a mean is, or a difference of means that were measured on the same items."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import stats

RESAMPLES = 2000


def paired_difference(ours: Sequence[float], theirs: Sequence[float], seed: int) -> dict[str, Any]:
    """Return the mean of ours - theirs with its 95 % bootstrap interval.

    Arguments:
        ours, theirs: a value an item, in the same order; at least one.
        seed: of the resampling, the same items for every comparison.
    """
    differences = np.array(ours) - np.array(theirs)
    return {
        'mean': float(differences.mean()),
        'interval': bootstrap_interval(np.mean, (differences,), seed),
    }


def bootstrap_interval(
    statistic: Callable[..., Any], samples: Sequence[np.ndarray], seed: int
) -> list[float]:
    """Return the 95 % percentile interval of a statistic.

    Arguments:
        statistic: of resampled items: takes the samples, and `axis`, along which they lie.
        samples: values of the same items, in the same order; at least one item.
        seed: of the resampling.
    """
    if len(samples[0]) == 1:  # scipy wants two; there is nothing to draw
        return [float(statistic(*samples, axis=0))] * 2
    found = stats.bootstrap(
        samples,
        statistic,
        n_resamples=RESAMPLES,
        vectorized=True,
        paired=True,
        method='percentile',
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return [float(found.low), float(found.high)]
