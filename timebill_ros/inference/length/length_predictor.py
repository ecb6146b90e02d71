"""The interface of length predictors: they read the prompt beside the prefill."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from timebill_ros.core.length_distribution import LengthDistribution


class LengthReading(Protocol):
    """The prediction for one prompt."""

    def distribution(self) -> LengthDistribution | None:
        """Return the prediction, after waiting for it if necessary; None: nothing is predicted."""


class LengthPredictor(Protocol):
    """Predicts the length of the target model's answer.

    Arguments:
        name: for logs and diagnostics.
    """

    name: str

    def beside_prefill(
        self, prompt: str, token_ids: list[int], prefill_s: float
    ) -> AbstractContextManager[LengthReading]:
        """Read a prompt; the target's prefill runs inside the context meanwhile.

        Arguments:
            prompt: the asker's text.
            token_ids: the same for the target, with the chat template applied.
            prefill_s: predicted time of the prefill; infinite: not known [s].
        """


class NoPredictor:
    """Predicts nothing: the planner then expects max_new_tokens for every answer."""

    name = 'none'

    @contextmanager
    def beside_prefill(
        self, prompt: str, token_ids: list[int], prefill_s: float
    ) -> Iterator['NoPredictor']:
        """Read nothing."""
        yield self

    def distribution(self) -> LengthDistribution | None:
        """Return None."""
        return None
