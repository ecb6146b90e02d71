"""How well one run of a target tells the lengths of another: the ceiling of every predictor."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from timebill_ros.training.length_file import LengthRecord


@dataclass(frozen=True)
class LengthAgreement:
    """Two runs' lengths of the same prompts.

    Arguments:
        prompts: how many both have answered.
        r2: share of the first run's variance that the second explains, taken as its prediction;
            NaN, if all of the first run's lengths are equal.
        mae: mean absolute difference [tokens].
        identical: share of equal lengths.
    """

    prompts: int
    r2: float
    mae: float
    identical: float


def length_agreement(
    first: Iterable[LengthRecord], second: Iterable[LengthRecord]
) -> LengthAgreement:
    """Compare the response lengths of the prompts that two runs share.

    Errors:
        ValueError: they share none.
    """
    others = {record.sha256: record.response_tokens for record in second}
    pairs = [
        (record.response_tokens, others[record.sha256])
        for record in first
        if record.sha256 in others
    ]
    if not pairs:
        raise ValueError('the two runs have no prompt in common')
    actual, predicted = np.array(pairs, dtype=float).T
    residual, spread = ((actual - predicted) ** 2).sum(), ((actual - actual.mean()) ** 2).sum()
    return LengthAgreement(
        prompts=len(pairs),
        r2=float(1 - residual / spread) if spread > 0 else float('nan'),
        mae=float(np.abs(actual - predicted).mean()),
        identical=float((actual == predicted).mean()),
    )
