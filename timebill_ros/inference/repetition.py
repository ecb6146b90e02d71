"""Against repetition: greedy answers of a small model often run into a loop and never end."""

import numpy as np
import torch
from numpy.typing import NDArray

LONGEST_PERIOD = 64
TIMES = 4
SHORTEST_TAIL = 32


class RepetitionPenalty:
    """The penalty of transformers' RepetitionPenaltyLogitsProcessor (CTRL, arXiv 1909.05858).

    Arguments:
        penalty: divides the positive logits of tokens seen before, and multiplies the negative
            ones; 1.0 is off.
        prompt_ids: (prompt_tokens,). They count as seen.
    """

    def __init__(self, penalty: float, prompt_ids: torch.Tensor) -> None:
        self.penalty = penalty
        self.seen: torch.Tensor = torch.unique(prompt_ids)
        """Tokens, each once, (count,)."""
        self._known = set(self.seen.tolist())

    def see(self, token_id: int, token: torch.Tensor) -> None:
        """Count a token as seen.

        Arguments:
            token_id: the token.
            token: the same as a tensor of no dimensions on the logits' device. It saves a copy to
                a GPU.
        """
        if token_id not in self._known:
            self._known.add(token_id)
            self.seen = torch.cat([self.seen, token[None]])

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the penalised logits, shape (vocabulary,); the argument may be written to."""
        if self.penalty == 1.0:
            return logits
        seen = logits[self.seen]
        logits[self.seen] = torch.where(seen < 0, seen * self.penalty, seen / self.penalty)
        return logits


class RepetitionStop:
    """Tells when an answer ends with the same block four times. A block has at most 64 tokens.

    The four blocks together must have at least 32 tokens: four equal digits are no loop, and
    neither is a line of dashes in a table.
    """

    def __init__(self) -> None:
        self._recent = np.full(LONGEST_PERIOD, -1, dtype=np.int64)  # the newest token first
        # How many of the newest tokens equal the token one period before, for periods 1..64.
        self._run: NDArray[np.int64] = np.zeros(LONGEST_PERIOD, dtype=np.int64)
        periods = np.arange(1, LONGEST_PERIOD + 1)
        self._enough = np.maximum(TIMES * periods, SHORTEST_TAIL) - periods

    def add(self, token_id: int) -> bool:
        """Add a generated token; return whether generation has fallen into a loop."""
        self._run = np.where(self._recent == token_id, self._run + 1, 0)
        self._recent[1:] = self._recent[:-1]
        self._recent[0] = token_id
        return bool((self._run >= self._enough).any())
