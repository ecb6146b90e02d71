"""Explains the predictor's error: by answers, by number of records, by kind of average."""

from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
from numpy.typing import NDArray

from benchmark.predictor.arms import Lengths, Study, ours
from timebill_ros.core.length_distribution import BUCKET_TOKENS
from timebill_ros.training.length_data import LengthData, Split
from timebill_ros.training.length_errors import length_errors
from timebill_ros.training.length_file import LengthRecord

SHARES = (0.125, 0.25, 0.5, 1.0)
"""Of the training records, for the learning curve."""

Errors = dict[str, float]


def by_source(predicted: Lengths, data: LengthData, split: Split) -> dict[str, Errors]:
    """Return the errors of each source's test records, and their mean length."""
    return _by(lambda record: record.source, predicted, data, split)


def by_finish_reason(predicted: Lengths, data: LengthData, split: Split) -> dict[str, Errors]:
    """Return the errors of the test answers that ended in each way, and their mean length."""
    return _by(lambda record: record.finish_reason, predicted, data, split)


def by_mean(
    probabilities: NDArray[np.float64], data: LengthData, split: Split
) -> dict[str, float]:
    """Return the errors if the distribution's mean were predicted, which is best for R2.

    Arguments:
        probabilities: (records, buckets).
    """
    middles = (np.arange(probabilities.shape[1]) + 0.5) * BUCKET_TOKENS
    means = probabilities @ np.minimum(middles, data.key.max_new_tokens)
    return asdict(length_errors(means[split.test], data.response_tokens[split.test]))


def by_training_records(study: Study, split: Split) -> dict[int, Errors]:
    """Return the test errors of heads that have learned from a part of the training records."""
    order = np.random.default_rng(study.seed).permutation(split.train)
    actual, found = study.data.response_tokens, {}
    for share in SHARES:
        some = np.sort(order[: max(1, round(share * len(order)))])
        predicted = ours(study, replace(split, train=some))
        found[len(some)] = asdict(length_errors(predicted[split.test], actual[split.test]))
    return found


def _by(
    group: Callable[[LengthRecord], str], predicted: Lengths, data: LengthData, split: Split
) -> dict[str, Errors]:
    found = {}
    for name in sorted({group(record) for record in data.records}):
        rows = [row for row in split.test if group(data.records[row]) == name]
        if rows:
            actual = data.response_tokens[rows]
            found[name] = {
                **asdict(length_errors(predicted[rows], actual)),
                'mean_actual': float(actual.mean()),
            }
    return found
