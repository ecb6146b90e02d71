"""The last queries of a prompt: they vote for what of the KV cache stays."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class ObservedQueries:
    """What one layer's attention was asked with.

    Arguments:
        queries: (heads, window, head_dim), after the rotary embedding, the newest last.
        scaling: factor of the scores; None is head_dim ** -0.5.
        softcap: bound of the scores; None is none.
    """

    queries: torch.Tensor
    scaling: float | None
    softcap: float | None


class ObservationWindow:
    """Records, layer by layer, the queries of the last tokens that pass through the attention.

    Chunks add up: what is held is the end of the whole prompt, however short its last chunk.

    Arguments:
        length: W, how many tokens it spans; a shorter prompt fills less.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self._layers: dict[int, ObservedQueries] = {}

    def __getitem__(self, layer: int) -> ObservedQueries:
        """Return what a layer was asked with."""
        return self._layers[layer]

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record what this thread's attention is asked with; other threads' is left alone."""
        token = _recorder.set(self)
        try:
            yield
        finally:
            _recorder.reset(token)

    def see(
        self, layer: int, query: torch.Tensor, scaling: float | None, softcap: float | None
    ) -> None:
        """Take the end of (1, heads, query_length, head_dim) states."""
        queries = query[0, :, -self.length :]
        if layer in self._layers and queries.shape[1] < self.length:
            queries = torch.cat([self._layers[layer].queries, queries], dim=1)[:, -self.length :]
        # A copy: a view would keep the chunk's memory.
        self._layers[layer] = ObservedQueries(queries.clone(), scaling, softcap)


_recorder: ContextVar[ObservationWindow | None] = ContextVar('recorder', default=None)


def recorder() -> ObservationWindow | None:
    """Return the window that this thread is recording into; None while it does not."""
    return _recorder.get()
