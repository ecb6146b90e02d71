"""The arm that asks the model for every token, also for those that are forced."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch

from timebill_ros.inference.constraint import guided
from timebill_ros.inference.constraint.guide import Guide
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.mean_probability import MeanProbability
from timebill_ros.inference.repetition import RepetitionPenalty
from timebill_ros.inference.step.answer_steps import AnswerSteps


class AskingGuide(Guide):
    """Yields the tokens that Guide yields, but each after a pass, and chosen from its logits.

    The masks that these passes would need are left out, so what forcing saves is not overstated.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._forced: list[int] = []

    def forced(self) -> list[int]:
        """Return nothing, and remember what is forced."""
        if not self._forced:
            self._forced = super().forced()
        return []

    def next(
        self,
        logits: torch.Tensor,
        penalty: RepetitionPenalty,
        probability: MeanProbability,
        step: AnswerSteps,
        interrupt: Interrupt,
    ) -> list[int]:
        """Return the next token; see Guide."""
        if not self._forced:
            return super().next(logits, penalty, probability, step, interrupt)
        probability.see(logits)
        int(penalty.apply(logits).argmax())
        return [self._forced.pop(0)]


@contextmanager
def asking_for_every_token() -> Iterator[None]:
    """Have answers guided so."""
    with mock.patch.object(guided, 'Guide', AskingGuide):
        yield
