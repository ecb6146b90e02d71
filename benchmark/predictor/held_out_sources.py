"""The split by source: a predictor is judged by sources that it was not trained on."""

import numpy as np

from timebill_ros.training.length_data import LengthData, Split

HELD_OUT_SOURCES = frozenset(
    {'bfcl-calls', 'bfcl-requests', 'how-to', 'libero', 'math', 'mt-bench', 'squad'}
)
"""Some of each kind, with all sources that are made of the same texts."""


def held_out_split(data: LengthData) -> Split:
    """Return a split whose test records are of sources that the others are not of."""
    known = np.array([record.source not in HELD_OUT_SOURCES for record in data.records])
    ends_training = data.random_split().test
    validation = ends_training[known[ends_training]]
    return Split(
        np.setdiff1d(np.flatnonzero(known), validation), validation, np.flatnonzero(~known)
    )
