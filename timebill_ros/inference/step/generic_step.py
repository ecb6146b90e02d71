"""The decoding step of any architecture, through transformers' modules."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from timebill_ros.inference.cache.kv_cache import KVCache

NAME = 'transformers'


def forward(model: Any, ids: torch.Tensor, position: int, cache: KVCache) -> torch.Tensor:
    """Run tokens through the model; return the logits of the last one.

    Arguments:
        ids: (length,).
        position: of the first of them in the sequence. After an eviction, it is not the length of
            the cache.

    Returns:
        (vocabulary,), fp32. You may write to it.
    """
    positions = torch.arange(position, position + len(ids), device=ids.device)
    with torch.inference_mode():
        output = model(
            input_ids=ids[None],
            position_ids=positions[None],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
    # A copy made outside of inference mode may be written to.
    return torch.Tensor.to(output.logits[0, -1], torch.float32, copy=True)


class GenericStep:
    """Runs one token through the model.

    Arguments:
        model: any decoder-only transformers model.
    """

    name = NAME

    def __init__(self, model: Any) -> None:
        self._model = model
        self._cache: KVCache | None = None
        self._position = 0

    @contextmanager
    def answering(
        self, cache: KVCache, position: int, max_new_tokens: int
    ) -> Iterator['GenericStep']:
        """Begin an answer. Within, another one may begin; when it ends, the first goes on.

        Arguments:
            cache: the prompt's, with room for the new tokens.
            position: as for forward().
            max_new_tokens: greatest number of steps.
        """
        left = self._cache, self._position
        self._cache, self._position = cache, position
        try:
            yield self
        finally:
            self._cache, self._position = left

    @contextmanager
    def leave(self) -> Iterator[KVCache]:
        """Leave the answer for a while; afterwards it goes on.

        Yields:
            The cache of answering(), with all keys and values of the answer so far. Tokens of the
            prompt may be taken out of it.
        """
        assert self._cache is not None, 'an answer has begun'
        yield self._cache

    def logits(self, token: torch.Tensor) -> torch.Tensor:
        """Append a token (a tensor of no dimensions); return the next one's logits in fp32."""
        assert self._cache is not None, 'an answer has begun'
        logits = forward(self._model, token[None], self._position, self._cache)
        self._position += 1
        return logits

    def append(self, ids: Sequence[int], check: Callable[[], None]) -> torch.Tensor:
        """Append tokens, at least one, in one pass; return the next one's logits in fp32.

        Arguments:
            ids: the tokens.
            check: not called here: the cache asks before each layer.
        """
        assert self._cache is not None, 'an answer has begun'
        tokens = torch.tensor(ids, device=self._model.device)
        logits = forward(self._model, tokens, self._position, self._cache)
        self._position += len(ids)
        return logits

    def steps_of(self, tokens: int) -> float:
        """Return how many steps take about as long as append() of so many tokens."""
        return 1

    def rewind(self, tokens: int) -> None:
        """Take the newest tokens back."""
        assert self._cache is not None, 'an answer has begun'
        for layer in self._cache.layers:
            layer.length -= tokens
        self._position -= tokens
