"""The KV cache: one block of memory a layer, taken once, written in place."""

from collections.abc import Callable
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


class KVCacheLayer(CacheLayerMixin):
    """Keys and values of one layer, preallocated.

    Arguments:
        capacity: tokens it has room for.
        before_update: called before each write, so once a layer in every forward pass; it may
            raise.
        is_sliding: the layer attends to a window of recent tokens only.
    """

    def __init__(self, capacity: int, before_update: Callable[[], None], is_sliding: bool) -> None:
        super().__init__()
        self.capacity = capacity
        self.before_update = before_update
        self.is_sliding = is_sliding
        self.length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Take the memory, of the shape and dtype of the first states."""

        def empty(states: torch.Tensor) -> torch.Tensor:
            batch, kv_heads, _, head_dim = states.shape
            return states.new_empty(batch, kv_heads, self.capacity, head_dim)

        self.keys, self.values = empty(key_states), empty(value_states)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append (batch, kv_heads, new, head_dim) states; return views of all there are."""
        self.before_update()
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, self.length = self.length, self.length + key_states.shape[2]
        assert self.length <= self.capacity, 'the cache was taken too small'
        self.keys[:, :, start : self.length] = key_states
        self.values[:, :, start : self.length] = value_states
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def get_seq_length(self) -> int:
        """Return the number of cached tokens."""
        return self.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return the length that a mask must have, and the position of its first token."""
        return self.length + query_length, 0

    def get_max_length(self) -> int:
        """Return the capacity."""
        return self.capacity


class KVCache(Cache):
    """The cache of one generation.

    Arguments:
        config: the model's configuration.
        capacity: tokens it has room for: prompt and response.
        before_update: called once a layer in every forward pass; it may raise to cut the pass off.
    """

    def __init__(self, config: Any, capacity: int, before_update: Callable[[], None]) -> None:
        text = config.get_text_config(decoder=True)
        kinds = getattr(text, 'layer_types', None) or ['full_attention'] * text.num_hidden_layers
        super().__init__(
            layers=[
                KVCacheLayer(capacity, before_update, kind == 'sliding_attention')
                for kind in kinds
            ]
        )
