"""Appends several tokens where a step takes one."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch


class OneByOne(ABC):
    """A step that takes one token."""

    def steps_of(self, tokens: int) -> float:
        """Return how many steps take about as long as append() of so many tokens."""
        return tokens

    @abstractmethod
    def logits(self, token: torch.Tensor) -> torch.Tensor:
        """Append a token; see GenericStep."""

    def append(self, ids: Sequence[int], check: Callable[[], None]) -> torch.Tensor:
        """Append tokens, at least one; return the next one's logits in fp32.

        Arguments:
            ids: the tokens.
            check: called before each pass; it may raise an error.
        """
        for token_id in ids[:-1]:
            self.logits(torch.tensor(token_id))
            check()
        return self.logits(torch.tensor(ids[-1]))
