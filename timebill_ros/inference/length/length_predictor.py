"""How long will the answer be? The seam behind which a predictor reads beside the prefill."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from timebill_ros.core.length_distribution import LengthDistribution


class LengthReading(Protocol):
    """What becomes of one prompt's prediction."""

    def distribution(self) -> LengthDistribution | None:
        """Return the prediction, waited for if need be; None: nothing is predicted."""


class LengthPredictor(Protocol):
    """Predicts the length of the target model's answer.

    Arguments:
        name: for logs and diagnostics.
    """

    name: str

    def beside_prefill(
        self, prompt: str, token_ids: list[int], prefill_s: float
    ) -> AbstractContextManager[LengthReading]:
        """Read a prompt while, inside the context, the target's prefill reads it.

        Arguments:
            prompt: the asker's text.
            token_ids: the same for the target, with the chat template applied.
            prefill_s: how long the prefill is expected to take; infinite: not known [s].
        """


class NoPredictor:
    """The predictor for want of a better one: every answer may be as long as it is let."""

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
