"""How sure the model was of the tokens that it chose."""

import math

import torch


class MeanProbability:
    """The geometric mean of the probabilities that the model itself gave to its tokens.

    Neither the repetition penalty nor a constraint counts: where they changed a token, the model
    was less sure of it. Sums stay on the logits' device, so that no step waits for them.
    """

    def __init__(self) -> None:
        self._log_probabilities = torch.zeros(0)
        self._sum: torch.Tensor | float = 0.0
        self._tokens = 0

    def see(self, logits: torch.Tensor) -> None:
        """Remember the logits, (vocabulary,), that the next token is chosen from."""
        self._log_probabilities = logits.log_softmax(0)  # a new tensor: they are written to

    def chose(self, token: torch.Tensor | int) -> None:
        """Count the token that was chosen."""
        self._sum = self._sum + self._log_probabilities[token]
        self._tokens += 1

    def add(self, log_probability: float, tokens: int) -> None:
        """Count tokens that were chosen together."""
        self._sum = self._sum + log_probability
        self._tokens += tokens

    @property
    def value(self) -> float:
        """The mean; 0.0 if the model chose no token."""
        return math.exp(float(self._sum) / self._tokens) if self._tokens else 0.0
