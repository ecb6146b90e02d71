"""What a head is trained for: buckets of lengths."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from timebill_ros.core.length_distribution import BUCKET_TOKENS, BUCKETS, bucket_of

SMOOTHING = 0.1
"""Standard deviation of the ordinal soft labels, as a share of the length: chosen on validation
records."""


class Objective(Protocol):
    """What is learned.

    Arguments:
        outputs: of the head.
    """

    outputs: int

    def start(self, rows: torch.Tensor) -> torch.Tensor:
        """Return (outputs,), what a head that knows nothing of a prompt says, from some rows."""

    def loss(self, logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return a scalar for (members, rows, outputs)."""

    def lengths(self, logits: torch.Tensor) -> NDArray[np.float64]:
        """Return (rows,), lengths predicted by (members, rows, outputs) [tokens]."""


class BucketObjective:
    """Cross-entropy over buckets of equal width; the prediction is the median.

    Arguments:
        response_tokens: (records,), the actual lengths.
        buckets, bucket_tokens: how many, and how wide [tokens].
        smoothing: 0: hard labels; else a bell around each length, wider for longer ones.
    """

    def __init__(
        self,
        response_tokens: NDArray[np.int64],
        buckets: int = BUCKETS,
        bucket_tokens: int = BUCKET_TOKENS,
        smoothing: float = SMOOTHING,
    ) -> None:
        self.outputs = buckets
        self._bucket_tokens = bucket_tokens
        self.labels = self._labels(response_tokens, smoothing)

    def start(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the logarithm of how common each bucket is."""
        return (self.labels[rows].mean(0) + 1e-6).log()

    def loss(self, logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy [nats]."""
        return -(self.labels[rows] * logits.log_softmax(-1)).sum(-1).mean()

    def lengths(self, logits: torch.Tensor) -> NDArray[np.float64]:
        """Return the medians of the members' mean distributions."""
        return medians(logits.double().softmax(-1).mean(0).numpy(), self._bucket_tokens)

    def _labels(self, response_tokens: NDArray[np.int64], smoothing: float) -> torch.Tensor:
        if smoothing == 0.0:
            places = [
                bucket_of(int(n), self.outputs, self._bucket_tokens) for n in response_tokens
            ]
            return torch.nn.functional.one_hot(torch.tensor(places), self.outputs).float()
        edges = torch.arange(self.outputs + 1) * self._bucket_tokens + 0.5
        lengths = torch.as_tensor(response_tokens).float()[:, None]
        below = torch.special.ndtr((edges - lengths) / (smoothing * lengths + 1.0))
        mass: torch.Tensor = below[:, 1:] - below[:, :-1]
        return mass / mass.sum(-1, keepdim=True)


def medians(probabilities: NDArray[np.float64], bucket_tokens: int) -> NDArray[np.float64]:
    """Return each row's median length: the upper edge of its bucket [tokens]."""
    reached = np.cumsum(probabilities, axis=1) >= 0.5 - 1e-9
    edges: NDArray[np.float64] = (reached.argmax(axis=1) + 1.0) * bucket_tokens
    return edges
