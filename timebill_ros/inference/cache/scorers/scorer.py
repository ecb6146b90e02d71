"""What eviction asks: how much each prompt token matters."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch

from timebill_ros.inference.cache.observation_window import ObservedQueries

ROOM_BESIDE_WINDOW = 64
"""The fewest tokens that are kept beside the observation window."""


@dataclass(frozen=True)
class Scorer(ABC):
    """Rates the prompt tokens. A subclass is a frozen dataclass; its fields are its settings.

    The name and the settings are part of the profile's key: a time model holds for one scorer.

    Arguments:
        window: length of the observation window: the scorer sees the queries of the last tokens
            of the prompt, and these always stay [tokens].
        sinks: the first tokens of the prompt that always stay [tokens].

    Raises:
        ValueError: names the setting, its value and its bound.
    """

    window: int = 16
    sinks: int = 4

    def __post_init__(self) -> None:
        if self.window < 1:
            raise ValueError(f'window must be at least 1 token, got {self.window}')
        if not 0 <= self.sinks <= ROOM_BESIDE_WINDOW:
            raise ValueError(f'sinks must be in [0, {ROOM_BESIDE_WINDOW}], got {self.sinks}')

    @property
    def min_kept_tokens(self) -> int:
        """The fewest tokens that a plan may keep."""
        return self.window + ROOM_BESIDE_WINDOW

    def for_prompt(self, prompt_ids: torch.Tensor, tokenizer: Any) -> 'Scorer':
        """Return the scorer for one prompt.

        Arguments:
            prompt_ids: (length,).
            tokenizer: the model's, of transformers.
        """
        return self

    @abstractmethod
    def score(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor, observed: ObservedQueries
    ) -> torch.Tensor:
        """Rate the prompt tokens of one layer.

        Arguments:
            layer: its index.
            keys: of the whole prompt, after the rotary embedding, (kv_heads, length, head_dim).
            values: of the whole prompt, (kv_heads, length, head_dim).
            observed: the queries of the observation window.

        Returns:
            (kv_heads, length); the tokens with the highest scores stay.
        """
