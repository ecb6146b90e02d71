"""Sums of a prompt's hidden states, kept on the way for prompts that begin alike."""

import torch

CHECKPOINT_TOKENS = 16
"""A sum is kept at every multiple of this. It takes less than a hundredth of the keys' memory."""


class StateSums:
    """Sums over the first tokens of one prompt, behind some layers.

    Arguments:
        beginning: the sums of a prompt with the same first tokens; None: there is none.
        tokens: how many tokens both begin with, a multiple of CHECKPOINT_TOKENS.
    """

    def __init__(self, beginning: 'StateSums | None' = None, tokens: int = 0) -> None:
        # By layer: the sums at the checkpoints, (checkpoints, hidden) in fp32.
        self._kept: dict[int, torch.Tensor] = {}
        self._totals: dict[int, torch.Tensor] = {}
        self._tokens: dict[int, int] = {}
        checkpoints = tokens // CHECKPOINT_TOKENS
        if beginning is not None and checkpoints > 0:
            for layer, kept in beginning._kept.items():
                self._kept[layer] = kept[:checkpoints]
                self._totals[layer] = kept[checkpoints - 1]
                self._tokens[layer] = tokens

    def checkpoint(self, tokens: int) -> int:
        """Return the last checkpoint among so many tokens that all layers have passed [tokens]."""
        checkpoints = min((len(kept) for kept in self._kept.values()), default=0)
        return min(tokens // CHECKPOINT_TOKENS, checkpoints) * CHECKPOINT_TOKENS

    @property
    def nbytes(self) -> int:
        """The memory taken [bytes]."""
        return sum(kept.nbytes for kept in self._kept.values())

    def tokens(self, layer: int) -> int:
        """Return how many tokens a layer's sum counts."""
        return self._tokens.get(layer, 0)

    def total(self, layer: int) -> torch.Tensor:
        """Return a layer's sum, (hidden,) in fp32."""
        return self._totals[layer]

    def add(self, layer: int, states: torch.Tensor) -> None:
        """Count more tokens.

        Arguments:
            layer: its number.
            states: of the tokens that follow those counted, (tokens, hidden).
        """
        before = self.tokens(layer)
        total = self._totals.get(layer)
        if total is None:
            total = torch.zeros(states.shape[1], device=states.device)
        kept = self._kept.get(layer, total[None][:0])
        whole = len(states) // CHECKPOINT_TOKENS
        if whole and before == len(kept) * CHECKPOINT_TOKENS:  # else no checkpoint can follow
            covered = whole * CHECKPOINT_TOKENS
            blocks = states[:covered].view(whole, CHECKPOINT_TOKENS, -1)
            sums = total + blocks.sum(dim=1, dtype=torch.float32).cumsum(dim=0)
            kept, total = torch.cat([kept, sums]), sums[-1]
            before, states = before + covered, states[covered:]
        self._kept[layer] = kept
        self._totals[layer] = total + states.sum(dim=0, dtype=torch.float32)
        self._tokens[layer] = before + len(states)
