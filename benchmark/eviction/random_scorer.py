"""A random scorer: the baseline that a scorer must beat."""

from dataclasses import dataclass

import torch

from timebill_ros.inference.cache.observation_window import ObservedQueries
from timebill_ros.inference.cache.scorers.scorer import Scorer


@dataclass(frozen=True)
class RandomScorer(Scorer):
    """Any tokens.

    Arguments:
        seed: the same seed keeps the same tokens.
    """

    seed: int = 0

    def score(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor, observed: ObservedQueries
    ) -> torch.Tensor:
        """Return uniform noise, other in each layer."""
        generator = torch.Generator().manual_seed(1000 * self.seed + layer)
        return torch.rand(keys.shape[:2], generator=generator).to(keys.device)
