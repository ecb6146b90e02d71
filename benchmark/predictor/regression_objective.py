"""A baseline's objective: the length itself, without buckets."""

import numpy as np
import torch
from numpy.typing import NDArray

_TOKENS_A_UNIT = 100.0


class RegressionObjective:
    """The mean absolute error of the length itself.

    Arguments:
        response_tokens: (records,), the actual lengths.
    """

    outputs = 1

    def __init__(self, response_tokens: NDArray[np.int64]) -> None:
        self._lengths = torch.as_tensor(response_tokens).float() / _TOKENS_A_UNIT

    def start(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the median length."""
        return self._lengths[rows].median()[None]

    def loss(self, logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return the mean absolute error, in hundreds of tokens."""
        return (logits[..., 0] - self._lengths[rows]).abs().mean()

    def lengths(self, logits: torch.Tensor) -> NDArray[np.float64]:
        """Return the members' mean, at least 1."""
        found: NDArray[np.float64] = (logits[..., 0].double().mean(0) * _TOKENS_A_UNIT).numpy()
        return np.maximum(found, 1.0)
