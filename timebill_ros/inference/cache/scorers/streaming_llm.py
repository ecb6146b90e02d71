"""StreamingLLM: the first and the last tokens stay. Xiao et al., arXiv 2309.17453."""

from dataclasses import dataclass

import torch

from timebill_ros.inference.cache.observation_window import ObservedQueries
from timebill_ros.inference.cache.scorers.scorer import Scorer


@dataclass(frozen=True)
class StreamingLLM(Scorer):
    """The most recent tokens; the sinks stay in any case."""

    def score(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor, observed: ObservedQueries
    ) -> torch.Tensor:
        """Return the positions."""
        positions = torch.arange(keys.shape[1], device=keys.device, dtype=torch.float32)
        return positions.expand(keys.shape[0], -1)
