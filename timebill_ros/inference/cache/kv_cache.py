"""The KV cache: each layer has one block of memory, allocated once and written in place."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


class KVCacheLayer(CacheLayerMixin):
    """Keys and values of one layer, preallocated.

    Arguments:
        capacity: tokens it has room for.
        before_update: called before each write, so once for each layer in a forward pass. It may
            raise an error.
        is_sliding: the layer attends only to the tokens within a distance.
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

    def take(self, keys: torch.Tensor, values: torch.Tensor, length: int) -> None:
        """Take memory that holds tokens already, (1, kv_heads, capacity, head_dim)."""
        self.keys, self.values = keys, values
        self.capacity, self.length = keys.shape[2], length
        self.is_initialized = True

    def free(self) -> None:
        """Let go of the memory. The layer cannot be used afterwards."""
        if self.is_initialized:
            self.keys = self.values = self.keys.new_empty(0)
        self.capacity = self.length = 0
        self.is_initialized = False

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append states of shape (batch, kv_heads, new, head_dim); return views of all states."""
        self.before_update()
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.append(key_states, value_states)
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def append(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Write states of shape (batch, kv_heads, new, head_dim) behind the others."""
        start, self.length = self.length, self.length + key_states.shape[2]
        assert self.length <= self.capacity, 'the cache was taken too small'
        self.keys[:, :, start : self.length] = key_states
        self.values[:, :, start : self.length] = value_states

    def keep(self, positions: torch.Tensor) -> None:
        """Move some of the tokens to new memory, and free the old memory.

        The room for new tokens stays as large as it was.

        Arguments:
            positions: (kv_heads, kept), sorted.
        """
        kv_heads, kept = positions.shape
        room = self.capacity - self.length

        def moved(states: torch.Tensor) -> torch.Tensor:
            memory = states.new_empty(1, kv_heads, kept + room, states.shape[-1])
            # Rows of a matrix are copied whole; gather() would go element by element. All heads at
            # once would be copied twice, because there is room between them.
            for head, chosen in enumerate(positions):
                torch.index_select(states[0, head], 0, chosen, out=memory[0, head, :kept])
            return memory

        self.keys, self.values = moved(self.keys), moved(self.values)
        self.length, self.capacity = kept, kept + room

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
        capacity: tokens it has room for: prompt and answer.
        before_update: called once for each layer in a forward pass. It may raise an error to cut
            the pass off.
    """

    def __init__(self, config: Any, capacity: int, before_update: Callable[[], None]) -> None:
        super().__init__(
            layers=[
                KVCacheLayer(capacity, before_update, kind != 'full_attention')
                for kind in _layer_kinds(config.get_text_config(decoder=True))
            ]
        )

    @property
    def memory(self) -> list[tuple[torch.Tensor, torch.Tensor]] | None:
        """Keys and values of each layer, (1, kv_heads, capacity, head_dim); None: not all are."""
        if not all(layer.is_initialized for layer in self.layers):
            return None
        return [(layer.keys, layer.values) for layer in self.layers]

    def take(self, memory: Sequence[tuple[torch.Tensor, torch.Tensor]], tokens: int) -> None:
        """Take memory in which the first tokens of the prompt are already."""
        for layer, (keys, values) in zip(self.layers, memory, strict=True):
            layer.take(keys, values, tokens)

    def free(self) -> None:
        """Let go of the memory. The cache cannot be used afterwards."""
        for layer in self.layers:
            layer.free()

    @property
    def is_freed(self) -> bool:
        """Whether free() has been called."""
        return all(layer.capacity == 0 for layer in self.layers)

    @property
    def nbytes(self) -> int:
        """The memory taken [bytes]."""
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in self.layers)

    def evict(self, choose: Callable[[int, torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        """Keep some tokens of each full-attention layer, one layer after the other.

        Sliding layers keep all tokens, because their masks count tokens.

        Arguments:
            choose: takes a layer's index, its keys and its values, (kv_heads, length, head_dim).
                It returns the sorted positions to keep, (kv_heads, kept).

        Raises:
            Whatever before_update raises. The cache cannot be used afterwards.
        """
        for index, layer in enumerate(self.layers):
            if not layer.is_sliding:
                layer.before_update()
                keys, values = layer.keys[0, :, : layer.length], layer.values[0, :, : layer.length]
                layer.keep(choose(index, keys, values))


def _layer_kinds(text_config: Any) -> list[str]:
    if kinds := getattr(text_config, 'layer_types', None):
        return list(kinds)
    # A model without layer_types has one kind of layer (Mistral, Phi-3).
    is_sliding = getattr(text_config, 'sliding_window', None) is not None
    kind = 'sliding_attention' if is_sliding else 'full_attention'
    return [kind] * text_config.num_hidden_layers
