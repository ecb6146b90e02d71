"""Compares the lengths of two runs of a target: no predictor can be better."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from timebill_ros.training.length_errors import LengthErrors, length_errors
from timebill_ros.training.length_file import LengthRecord


@dataclass(frozen=True)
class LengthAgreement:
    """The agreement of two runs, on the prompts that both answered.

    Arguments:
        errors: of the second run's lengths, as predictions of the first run's.
        identical: share of equal lengths.
        correlation: Pearson's. If the runs differ by chance only, this is their common share of
            the variance: the best possible R2 of a predictor.
    """

    errors: LengthErrors
    identical: float
    correlation: float


def length_agreement(
    first: Iterable[LengthRecord], second: Iterable[LengthRecord]
) -> LengthAgreement:
    """Compare the response lengths of the prompts that both runs answered.

    Raises:
        ValueError: there is no such prompt.
    """
    others = {record.sha256: record.response_tokens for record in second}
    pairs = [
        (record.response_tokens, others[record.sha256])
        for record in first
        if record.sha256 in others
    ]
    if not pairs:
        raise ValueError('the two runs have no prompt in common')
    actual, predicted = np.array(pairs).T
    return LengthAgreement(
        length_errors(predicted, actual),
        float((actual == predicted).mean()),
        _correlation(actual, predicted),
    )


def _correlation(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    if first.std() == 0 or second.std() == 0:
        return float('nan')
    return float(np.corrcoef(first, second)[0, 1])
