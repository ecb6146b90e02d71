"""Shortens a prompt so that the length predictor reads it before the prefill ends."""

import math
from collections.abc import Sequence
from typing import TypeVar

from timebill_ros.core.time_model import TimeModel

Token = TypeVar('Token')


def hidden_tokens(predictor: TimeModel, prefill_s: float) -> float:
    """Return how many tokens the predictor can read during the prefill, >= 0.

    The inverse of t_predict = a*N_p^2 + b*N_p + c (arXiv 2512.21859, prompt compression).

    Arguments:
        predictor: time model of the predictor; its a, b, c.
        prefill_s: t_prefill of the target, may be infinite [s].
    """
    left_s = prefill_s - predictor.c
    if left_s <= 0.0:
        return 0.0
    if predictor.a * left_s > 1e-9 * predictor.b**2:
        root = math.sqrt(predictor.b**2 + 4.0 * predictor.a * left_s)
        return (root - predictor.b) / (2.0 * predictor.a)
    return left_s / predictor.b if predictor.b > 0.0 else math.inf


def compressed(token_ids: Sequence[Token], most: int) -> list[Token]:
    """Return at most `most` tokens: half from the beginning, half from the end.

    Arguments:
        token_ids: the whole prompt.
        most: at least 1; if odd, the end has one more.
    """
    if len(token_ids) <= most:
        return list(token_ids)
    return [*token_ids[: most // 2], *token_ids[len(token_ids) - (most - most // 2) :]]
