"""The interface of length predictors: they read the prompt beside the prefill."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from timebill_ros.core.length_distribution import LengthDistribution
from timebill_ros.inference.prefix.state_sums import StateSums


class LengthReading(Protocol):
    """The prediction for one prompt."""

    def distribution(self) -> LengthDistribution | None:
        """Return the prediction, after waiting for it if necessary; None: nothing is predicted."""


class LengthPredictor(Protocol):
    """Predicts the length of the target model's answer.

    Arguments:
        name: for logs and diagnostics.
        needs_sums: it reads the sums of the target's hidden states.
    """

    name: str
    needs_sums: bool

    def beside_prefill(
        self,
        prompt: str,
        token_ids: list[int],
        prefill_s: float,
        sums: StateSums | None = None,
    ) -> AbstractContextManager[LengthReading]:
        """Read a prompt; the target's prefill runs inside the context meanwhile.

        Arguments:
            prompt: the asker's text.
            token_ids: the same for the target, with the chat template applied.
            prefill_s: predicted time of the prefill; infinite: not known [s].
            sums: of the tokens that the prefill finds in the cache; None: there are none.
        """

    def beside_preparation(
        self, token_ids: list[int], sums: StateSums
    ) -> AbstractContextManager[None]:
        """Sum the states of a prompt's beginning, of which nothing is asked yet."""


class NoPredictor:
    """Predicts nothing: the planner then expects max_new_tokens for every answer."""

    name = 'none'
    needs_sums = False

    @contextmanager
    def beside_prefill(
        self,
        prompt: str,
        token_ids: list[int],
        prefill_s: float,
        sums: StateSums | None = None,
    ) -> Iterator['NoPredictor']:
        """Read nothing."""
        yield self

    def beside_preparation(
        self, token_ids: list[int], sums: StateSums
    ) -> AbstractContextManager[None]:
        """Sum nothing."""
        return nullcontext()

    def distribution(self) -> LengthDistribution | None:
        """Return None."""
        return None
