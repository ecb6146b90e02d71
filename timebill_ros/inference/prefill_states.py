"""What some of the target's layers make of a prompt, read while the prompt is prefilled."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch


class PrefillStates:
    """Reads hidden states behind some layers: of the last token, and the mean over all tokens.

    Arguments:
        model: a decoder-only transformers model.
        layers: behind which layers, counted from 1, rising.
    """

    def __init__(self, model: Any, layers: Sequence[int]) -> None:
        self._modules = [model.get_decoder().layers[layer - 1] for layer in layers]
        self._size = int(model.config.get_text_config().hidden_size)
        self._tokens = [0] * len(layers)
        self._sums = torch.zeros(len(layers), self._size)
        self._last = torch.zeros(len(layers), self._size)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read what the model is fed inside; a prompt may come in chunks, the last one last."""
        hooks = [
            module.register_forward_hook(self._hook(index))
            for index, module in enumerate(self._modules)
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def tokens_read(self) -> int:
        """Return how many tokens have passed the last of the layers."""
        return self._tokens[-1]

    def values(self) -> torch.Tensor:
        """Return (layers, 2, hidden), fp32: of the last token, and the mean over all tokens."""
        tokens = torch.tensor(self._tokens).clamp(min=1)[:, None]
        return torch.stack([self._last, self._sums / tokens], dim=1)

    def _hook(self, index: int) -> Any:
        def read(_module: Any, _arguments: Any, output: Any) -> None:
            states = output[0] if isinstance(output, tuple) else output
            states = states.reshape(-1, self._size)
            self._tokens[index] += len(states)
            self._sums[index] += states.sum(dim=0, dtype=torch.float32).cpu()
            self._last[index] = states[-1].float().cpu()

        return read
