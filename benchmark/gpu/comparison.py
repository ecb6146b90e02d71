"""Compares what two engines have computed: their logits, and the tokens that these lead to."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from timebill_ros.inference.self_check import TOLERANCES


@dataclass(frozen=True)
class Outcome:
    """One answer.

    Arguments:
        tokens: what was chosen.
        logits: what each was chosen from, (tokens, vocabulary), fp32, on the CPU.
    """

    tokens: list[int]
    logits: torch.Tensor


@dataclass(frozen=True)
class Agreement:
    """How far answers agree.

    Arguments:
        agrees: they are equal, but for rounding.
        error: |ours - theirs| / |theirs - mean of theirs| over a position's logits: the largest in
            fp32, the median in 16 bits; None: nothing could be compared.
        positions: how many were compared. After a tie, answers go different ways.
        detail: where they differ; '' if they do not.
    """

    agrees: bool
    error: float | None
    positions: int
    detail: str = ''


def compared(ours: Sequence[Outcome], theirs: Sequence[Outcome], dtype: torch.dtype) -> Agreement:
    """Compare answers with those of the reference.

    Arguments:
        dtype: of the model that computed ours; it sets the tolerance, which is the self-check's.
    """
    tolerance = TOLERANCES[dtype]
    errors: list[float] = []
    if len(ours) != len(theirs):
        return Agreement(False, None, 0, f'{len(ours)} answers, not {len(theirs)}')
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        where = f'answer {number + 1}: '
        if len(mine.tokens) != len(other.tokens):
            detail = f'{where}{len(mine.tokens)} tokens, not {len(other.tokens)}'
            return Agreement(False, None, len(errors), detail)
        for place, (token, expected) in enumerate(zip(mine.tokens, other.tokens, strict=True)):
            right = other.logits[place]
            spread = float((right - right.mean()).norm().clamp_min(1e-6))
            errors.append(float((mine.logits[place] - right).norm()) / spread)
            if token != expected:
                if float(right[expected] - right[token]) / spread < 2 * tolerance:
                    break  # a tie: both go on rightly, but not alike
                detail = f'{where}token {place} is {token}, not {expected}'
                return Agreement(False, errors[-1], len(errors), detail)
    if not all(map(math.isfinite, errors)):
        return Agreement(False, None, len(errors), 'some logits are not numbers')
    error = max(errors) if dtype == torch.float32 else statistics.median(errors)
    if error < tolerance:
        return Agreement(True, error, len(errors))
    return Agreement(
        False, error, len(errors), f'the logits differ by {error:.2g}, more than {tolerance:g}'
    )
