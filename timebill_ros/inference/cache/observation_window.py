"""The attention queries of a prompt's last tokens. Scorers rate the KV cache by them."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class ObservedQueries:
    """The attention queries of one layer, and how its scores are computed.

    Arguments:
        queries: (heads, window, head_dim), after the rotary embedding, the newest last.
        scaling: factor of the scores; None is head_dim ** -0.5.
        softcap: bound of the scores; None is none.
        log_sums: (heads, window) in fp32, the logarithm of the sum of the exponentials of each
            query's scores, over all keys that it sees; None: not known.
    """

    queries: torch.Tensor
    scaling: float | None
    softcap: float | None
    log_sums: torch.Tensor | None = None


class ObservationWindow:
    """Records, layer by layer, the queries of the last tokens that pass through the attention.

    It spans chunks: it holds the end of the whole prompt, even if the last chunk is short.

    Arguments:
        length: W, the number of tokens that it holds. A shorter prompt has fewer.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self._layers: dict[int, ObservedQueries] = {}

    def __getitem__(self, layer: int) -> ObservedQueries:
        """Return the queries of a layer."""
        return self._layers[layer]

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record the attention queries of this thread during the block, not of others."""
        token = _recorder.set(self)
        try:
            yield
        finally:
            _recorder.reset(token)

    def see(
        self,
        layer: int,
        query: torch.Tensor,
        scaling: float | None,
        softcap: float | None,
        log_sums: torch.Tensor | None = None,
    ) -> None:
        """Take the end of (1, heads, query_length, head_dim) states.

        Arguments:
            log_sums: (heads, query_length), as of ObservedQueries; always None, or never.
        """
        queries, before = query[0, :, -self.length :], self._layers.get(layer)
        if log_sums is not None:
            log_sums = log_sums[:, -self.length :]
        if before is not None and queries.shape[1] < self.length:
            queries = torch.cat([before.queries, queries], dim=1)[:, -self.length :]
            if log_sums is not None and before.log_sums is not None:
                log_sums = torch.cat([before.log_sums, log_sums], dim=1)[:, -self.length :]
        # A copy: a view would keep the chunk's memory.
        self._layers[layer] = ObservedQueries(queries.clone(), scaling, softcap, log_sums)


_recorder: ContextVar[ObservationWindow | None] = ContextVar('recorder', default=None)


def recorder() -> ObservationWindow | None:
    """Return the window that this thread records into; None: it records nothing."""
    return _recorder.get()
