"""Reads the hidden states of a prompt behind some layers, during the prefill."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch

from timebill_ros.inference.prefix.state_sums import StateSums

_reading: ContextVar['PrefillStates | None'] = ContextVar('reading', default=None)


class PrefillStates:
    """Reads hidden states behind some layers: of the last token, and the mean over all tokens.

    Arguments:
        model: a decoder-only transformers model.
        layers: numbers of these layers, from 1, rising.
        prompt_tokens: length of the prompt; it may be read in chunks.
        read: called with (layers, 2, hidden), fp32, on the model's device, as soon as the last of
            these layers has read the last token. The layers above it have not read it yet.
            None: the states are only summed.
        sums: of the first tokens, which are not read again; they go on here. None: there are none.
    """

    def __init__(
        self,
        model: Any,
        layers: Sequence[int],
        prompt_tokens: int,
        read: Callable[[torch.Tensor], None] | None = None,
        sums: StateSums | None = None,
    ) -> None:
        self._modules = [model.get_decoder().layers[layer - 1] for layer in layers]
        self._size = int(model.config.get_text_config().hidden_size)
        self._prompt_tokens = prompt_tokens
        self._read = read
        self.layers = tuple(layers)
        self._sums = StateSums() if sums is None else sums
        self._last: dict[int, torch.Tensor] = {}

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read the states of the model's calls inside the context."""
        hooks = [
            module.register_forward_hook(self._hook(layer))
            for layer, module in zip(self.layers, self._modules, strict=True)
        ]
        token = _reading.set(self)
        try:
            yield
        finally:
            _reading.reset(token)
            for hook in hooks:
                hook.remove()

    def _hook(self, layer: int) -> Any:
        def read(_module: Any, _arguments: Any, output: Any) -> None:
            if _reading.get() is not self:
                return  # a more urgent prompt is read meanwhile
            states = output[0] if isinstance(output, tuple) else output
            self.see(layer, states.reshape(-1, self._size))

        return read

    def see(self, layer: int, states: torch.Tensor) -> None:
        """Take the states of a chunk's tokens behind one of the layers, (tokens, hidden)."""
        self._sums.add(layer, states)
        self._last[layer] = states[-1].to(torch.float32, copy=True)  # the states go on to change
        is_last = layer == self.layers[-1] and self._sums.tokens(layer) == self._prompt_tokens
        if is_last and self._read is not None:
            self._read(self._values())

    def _values(self) -> torch.Tensor:
        rows = [
            torch.stack([self._last[layer], self._sums.total(layer) / self._prompt_tokens])
            for layer in self.layers
        ]
        return torch.stack(rows)


def state_reader() -> PrefillStates | None:
    """Return who reads the states of this thread's prefill: its hooks see modules only."""
    return _reading.get()
