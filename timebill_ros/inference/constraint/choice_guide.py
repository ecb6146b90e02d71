"""Has the model choose one of some texts, by how likely it takes each of them as a whole."""

import math

import torch

from timebill_ros.core.constraint import Closing
from timebill_ros.inference.constraint.choices import Choices
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.mean_probability import MeanProbability
from timebill_ros.inference.repetition import RepetitionPenalty
from timebill_ros.inference.step.answer_steps import AnswerSteps
from timebill_ros.inference.text_stream import TextStream


class ChoiceGuide:
    """The state of one choice.

    Arguments:
        choices: what there is to choose from.
        stop_token_ids: any of these ends an answer.
        stream: knows whether the model still thinks. Until it does not, tokens are free.
    """

    closing: Closing | None = None
    forced_tokens = 0
    time_s = 0.0

    def __init__(
        self, choices: Choices, stop_token_ids: frozenset[int], stream: TextStream
    ) -> None:
        self._choices = choices
        self._stop_ids = sorted(stop_token_ids)
        self._stream = stream
        self._piece = ''
        self._thought = 0
        self.max_new_tokens = 0
        """Room for the thinking and the choice [tokens]."""
        self.is_answering = False
        self.choice = -1
        self.probabilities: tuple[float, ...] = ()

    def forced(self) -> list[int]:
        """Return no tokens: a choice is scored as a whole."""
        return []

    def next(
        self,
        logits: torch.Tensor,
        penalty: RepetitionPenalty,
        probability: MeanProbability,
        step: AnswerSteps,
        interrupt: Interrupt,
    ) -> list[int]:
        """Return the tokens of the likeliest choice, with the stop token; see Guide."""
        token_id = int(logits.argmax())
        is_thinking = self._stream.is_thinking and self._stream.goes_on_thinking(token_id)
        if is_thinking or self._thought + self._choices.longest > self.max_new_tokens:
            self._thought += 1
            if not is_thinking:  # no room is left: the answer is not to end as if it had one
                token_id = int(logits.index_fill(0, self._stops(logits), -math.inf).argmax())
            return [token_id]
        self.is_answering = True
        found = self._choices.log_likelihoods(logits, self._stop_ids, step, interrupt)
        self.probabilities = tuple(torch.tensor(found, dtype=torch.float64).softmax(0).tolist())
        self.choice = max(range(len(found)), key=found.__getitem__)
        self._piece = self._choices.texts[self.choice]
        ids = [*self._choices.ids[self.choice], self._stop_ids[0]]
        probability.add(found[self.choice], len(ids))
        return ids

    def _stops(self, logits: torch.Tensor) -> torch.Tensor:
        return torch.tensor(self._stop_ids, device=logits.device)

    def piece(self) -> str:
        """Return the choice's text with its first token, then ''."""
        piece, self._piece = self._piece, ''
        return piece
