"""How long will the answer be? The seam behind which a predictor is put."""

from typing import Protocol


class LengthPredictor(Protocol):
    """Predicts the length of the target model's answer."""

    def predict(self, prompt: str, prompt_tokens: int, max_new_tokens: int) -> int:
        """Return N_hat, in 1..max_new_tokens [tokens].

        Arguments:
            prompt: the question; a predictor has a tokeniser of its own.
            prompt_tokens: N_x, its length for the target, with the chat template applied.
            max_new_tokens: N_max, upper bound of the response's length.
        """


class LongestResponse:
    """The predictor for want of a better one: every answer is as long as it may be."""

    def predict(self, prompt: str, prompt_tokens: int, max_new_tokens: int) -> int:
        """Return max_new_tokens."""
        return max_new_tokens
