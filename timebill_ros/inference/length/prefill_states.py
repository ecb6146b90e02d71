"""Reads the hidden states of a prompt behind some layers, during the prefill."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch


class PrefillStates:
    """Reads hidden states behind some layers: of the last token, and the mean over all tokens.

    Arguments:
        model: a decoder-only transformers model.
        layers: numbers of these layers, from 1, rising.
        prompt_tokens: length of the prompt; it may be read in chunks.
        read: called with (layers, 2, hidden), fp32, on the model's device, as soon as the last of
            these layers has read the last token. The layers above it have not read it yet.
    """

    def __init__(
        self,
        model: Any,
        layers: Sequence[int],
        prompt_tokens: int,
        read: Callable[[torch.Tensor], None],
    ) -> None:
        self._modules = [model.get_decoder().layers[layer - 1] for layer in layers]
        self._size = int(model.config.get_text_config().hidden_size)
        self._prompt_tokens = prompt_tokens
        self._read = read
        self._tokens = [0] * len(layers)
        self._sums: list[torch.Tensor | float] = [0.0] * len(layers)
        self._last: list[torch.Tensor | float] = [0.0] * len(layers)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read the states of the model's calls inside the context."""
        hooks = [
            module.register_forward_hook(self._hook(index))
            for index, module in enumerate(self._modules)
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _hook(self, index: int) -> Any:
        def read(_module: Any, _arguments: Any, output: Any) -> None:
            states = output[0] if isinstance(output, tuple) else output
            states = states.reshape(-1, self._size)
            self._tokens[index] += len(states)
            self._sums[index] = self._sums[index] + states.sum(dim=0, dtype=torch.float32)
            self._last[index] = states[-1].float()
            if index == len(self._modules) - 1 and self._tokens[index] == self._prompt_tokens:
                self._read(self._values())

        return read

    def _values(self) -> torch.Tensor:
        rows = [
            torch.stack([torch.as_tensor(last), torch.as_tensor(total) / self._prompt_tokens])
            for last, total in zip(self._last, self._sums, strict=True)
        ]
        return torch.stack(rows)
