"""A KV cache at fixed addresses, for steps that are recorded once and replayed."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from timebill_ros.inference.cache.kv_cache import KVCache


class StaticLayer(CacheLayerMixin):
    """Keys and values of one layer.

    Arguments:
        keys, values: (1, kv_heads, capacity, head_dim).
        cursor: (1,), the position of the next token. It is on the device, so that a replay can
            move it.
    """

    is_sliding = False

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, cursor: torch.Tensor) -> None:
        super().__init__()
        self.keys, self.values, self.cursor = keys, values, cursor
        self.visible = keys.shape[2]
        self.is_initialized = True

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing is left to do."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write one token's states; return the visible part, also where nothing is written yet."""
        self.keys.index_copy_(2, self.cursor, key_states)
        self.values.index_copy_(2, self.cursor, value_states)
        return self.keys[:, :, : self.visible], self.values[:, :, : self.visible]

    def get_seq_length(self) -> int:
        """Return the visible length."""
        return self.visible

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return the length that a mask must have, and the position of its first token."""
        return self.visible, 0

    def get_max_length(self) -> int:
        """Return the capacity."""
        return self.keys.shape[2]


class StaticCache(Cache):
    """The cache of one answer at a time. All answers use the same memory.

    Arguments:
        like: keys and values of each layer, (1, kv_heads, any length, head_dim).
        capacity: tokens that it has room for.
    """

    def __init__(self, like: Sequence[tuple[torch.Tensor, torch.Tensor]], capacity: int) -> None:
        self.capacity = capacity
        self.cursor = torch.zeros(1, dtype=torch.long, device=like[0][0].device)

        # Zeros: what is masked out must still be a number.
        def memory(states: torch.Tensor) -> torch.Tensor:
            batch, kv_heads, _, head_dim = states.shape
            shape = (batch, kv_heads, capacity, head_dim)
            return torch.zeros(shape, dtype=states.dtype, device=states.device)

        super().__init__(layers=[StaticLayer(memory(k), memory(v), self.cursor) for k, v in like])

    @property
    def nbytes(self) -> int:
        """The memory taken [bytes]."""
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in self.layers)

    def take(self, cache: KVCache) -> None:
        """Copy what another cache holds."""
        for mine, its in zip(self.layers, cache.layers, strict=True):
            mine.keys[:, :, : its.length] = its.keys[:, :, : its.length]
            mine.values[:, :, : its.length] = its.values[:, :, : its.length]
        self.cursor.fill_(cache.layers[0].length)

    def give_back(self, cache: KVCache, length: int) -> None:
        """Append to another cache the tokens, of the first ones here, that it does not hold."""
        for mine, its in zip(self.layers, cache.layers, strict=True):
            new = slice(its.length, length)
            its.append(mine.keys[:, :, new], mine.values[:, :, new])

    def show(self, tokens: int) -> None:
        """Make that many tokens visible to the attention."""
        for layer in self.layers:
            layer.visible = tokens
