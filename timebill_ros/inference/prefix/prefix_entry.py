"""One prompt that was read: its tokens, its keys and values, and what else was learned of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from timebill_ros.inference.prefix.state_sums import StateSums

Memory = Sequence[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of each layer, (1, kv_heads, capacity, head_dim)."""
Holder = int | str
"""Who relies on an entry: a query by its number, or the name of who has prepared a context."""


@dataclass(eq=False)
class PrefixEntry:
    """The beginning of a prompt, in the cache.

    Arguments:
        token_ids: of the prompt.
        memory: its first tokens are those of token_ids. A running answer may use what follows.
        sums: of its hidden states; empty if nobody wants them.
        pins: for how many first tokens each holder relies on it.
        used: rises with each use.
        is_in_use: a query that has not ended writes to its memory.
    """

    token_ids: NDArray[np.int64]
    memory: Memory
    sums: StateSums
    pins: dict[Holder, int] = field(default_factory=dict)
    used: int = 0
    is_in_use: bool = False

    @property
    def capacity(self) -> int:
        """Tokens that the memory has room for."""
        return int(self.memory[0][0].shape[2])

    @property
    def nbytes(self) -> int:
        """The memory taken [bytes]."""
        return sum(k.nbytes + v.nbytes for k, v in self.memory) + self.sums.nbytes

    @property
    def pinned_tokens(self) -> int:
        """For how many first tokens someone relies on it."""
        return max(self.pins.values(), default=0)

    def common_tokens(self, token_ids: NDArray[np.int64]) -> int:
        """Return how many tokens both begin with."""
        length = min(len(token_ids), len(self.token_ids))
        different = np.flatnonzero(token_ids[:length] != self.token_ids[:length])
        return int(different[0]) if len(different) else length

    def truncate(self, tokens: int) -> None:
        """Forget what follows the first tokens."""
        assert self.pinned_tokens <= tokens, 'someone relies on more'
        self.token_ids = self.token_ids[:tokens]


@dataclass(eq=False)
class Beginning:
    """How the prefill of a prompt begins.

    Arguments:
        token_ids: the prompt.
        cached_tokens: so many of its first tokens are in the memory; the rest is to be read.
        memory: room for the prompt and its answer; None: nothing is cached, and there is none.
        sums: of the cached tokens' hidden states. The prefill goes on with them.
        entry: whose memory this is, or becomes; None: none's.
    """

    token_ids: NDArray[np.int64]
    cached_tokens: int = 0
    memory: Memory | None = None
    sums: StateSums = field(default_factory=StateSums)
    entry: PrefixEntry | None = None
