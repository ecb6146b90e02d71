"""How sure a difference of means is, when both were measured on the same items."""

from collections.abc import Sequence
from typing import Any

import numpy as np

RESAMPLES = 2000


def paired_difference(ours: Sequence[float], theirs: Sequence[float], seed: int) -> dict[str, Any]:
    """Return the mean of ours - theirs with its 95 % bootstrap interval.

    Arguments:
        ours, theirs: a value an item, in the same order; at least one.
        seed: of the resampling, the same items for every comparison.
    """
    differences = np.array(ours) - np.array(theirs)
    picks = np.random.default_rng(seed).integers(
        0, len(differences), (RESAMPLES, len(differences))
    )
    low, high = np.quantile(differences[picks].mean(axis=1), (0.025, 0.975))
    return {'mean': float(differences.mean()), 'interval': [float(low), float(high)]}
