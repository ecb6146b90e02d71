"""One answer as the pipeline sees it: free, or kept within its constraint."""

from dataclasses import replace

from timebill_ros.core.asker_lengths import AskerLengths
from timebill_ros.core.constraint import Closing
from timebill_ros.core.length_distribution import LengthDistribution
from timebill_ros.core.remaining_lengths import RemainingLengths
from timebill_ros.inference.constraint.choice_guide import ChoiceGuide
from timebill_ros.inference.constraint.choices import Choices
from timebill_ros.inference.constraint.compiler import Form
from timebill_ros.inference.constraint.guide import Guide
from timebill_ros.inference.mean_probability import MeanProbability
from timebill_ros.inference.step.answer_steps import PassCount
from timebill_ros.inference.text_stream import TextStream


class Guided:
    """The text of an answer, what closes it, and what is known of how it was chosen.

    Arguments:
        stream: of this answer. It tells thinking apart, and has the text of a free answer.
        guide: keeps the answer within a constraint; None: it is free.
        choices: what the guide chooses from, if it does.
    """

    def __init__(
        self,
        stream: TextStream,
        guide: Guide | ChoiceGuide | None = None,
        choices: Choices | None = None,
    ) -> None:
        self.guide = guide
        self.probability = MeanProbability()
        self.passes = PassCount()
        self._stream = stream
        self._choices = choices
        self._closing: Closing | None = None

    @classmethod
    def by(cls, form: Form | None, stop_token_ids: frozenset[int], stream: TextStream) -> 'Guided':
        """Return the beginning of an answer of a form; None: of a free one."""
        if form is None:
            return cls(stream)
        if isinstance(form, Choices):
            return cls(stream, ChoiceGuide(form, stop_token_ids, stream), form)
        return cls(stream, Guide(form, stream))

    def max_new_tokens(self, asked: int) -> int:
        """Return how many tokens the answer may have, of so many that are asked and fit."""
        most = asked
        if self._choices and self.is_scored:
            most = self._choices.longest
        if isinstance(self.guide, ChoiceGuide):
            self.guide.max_new_tokens = most
        return most

    @property
    def is_scored(self) -> bool:
        """Whether all choices are scored at once: the steps that this takes are known."""
        return self._choices is not None and not self._stream.is_thinking

    @property
    def is_guessed(self) -> bool:
        """Whether the engine may guess tokens; it does not where the model is to choose."""
        return self._choices is None

    def max_steps(self, max_new_tokens: int) -> int:
        """Return how many steps decoding takes at most: choices are all scored."""
        return self._choices.passes + 1 if self._choices and self.is_scored else max_new_tokens

    def lengths(
        self,
        predicted: LengthDistribution | None,
        max_steps: int,
        learned: AskerLengths | None = None,
    ) -> RemainingLengths:
        """Return how many steps the answer may take: those of scored choices are known.

        Arguments:
            predicted: of a free answer; None: nothing predicts it.
            max_steps: as max_steps() says.
            learned: from earlier answers of this form; None: nothing is.
        """
        if self.is_scored:
            return RemainingLengths.exactly(max_steps)
        return RemainingLengths.of(predicted, max_steps, learned)

    def add(self, token_id: int) -> str:
        """Add a token; return the text that it completes, often ''."""
        if self.guide is not None and self.guide.is_answering:
            return self.guide.piece()
        return self._stream.add(token_id)

    def end(self) -> str:
        """Return the rest of the text; incomplete characters are dropped."""
        return '' if self.guide is not None and self.guide.is_answering else self._stream.end()

    def new_closing(self) -> Closing | None:
        """Return what closes the text so far; None: nothing does, or it was returned before."""
        closing = None if self.guide is None else self.guide.closing
        if closing is self._closing:
            return None
        self._closing = closing
        if closing is None:
            return None
        return replace(closing, mean_token_probability=self.probability.value)

    def billed(self) -> tuple[int, int, float]:
        """Return forced tokens, passes and time of the constraint [s]."""
        passes = round(self.passes.steps)
        if self.guide is None:
            return 0, passes, 0.0
        return self.guide.forced_tokens, passes, self.guide.time_s

    def confidence(self) -> tuple[int, tuple[float, ...], float]:
        """Return choice, choice_probabilities and mean_token_probability; see Generation."""
        if isinstance(self.guide, ChoiceGuide):
            return self.guide.choice, self.guide.probabilities, self.probability.value
        return -1, (), self.probability.value
