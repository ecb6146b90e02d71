"""An item with all its recorded answers: tells the outcome of any configuration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from benchmark.budgets.recorded_answer import RecordedAnswer
from benchmark.budgets.tasks.scores import rouge_l


@dataclass(frozen=True)
class RecordedItem:
    """An item as the replay sees it.

    Arguments:
        task: its task's name.
        answers: by alpha; that of alpha 0, the unevicted one, is among them.
        score: grades a text.
        four_bit: the unevicted answer of the same target with int4 weights, if it is a rival.
        reference: what fidelity is held against; None: the unevicted answer.
    """

    task: str
    answers: Mapping[float, RecordedAnswer]
    score: Callable[[str], float]
    four_bit: RecordedAnswer | None = None
    reference: RecordedAnswer | None = None

    @property
    def unevicted(self) -> RecordedAnswer:
        """The answer of alpha 0."""
        return self.answers[0.0]

    @property
    def prefill_s(self) -> float:
        """The prefill's time: the unevicted answer's run counts for all ratios [s]."""
        return self.unevicted.prefill_s

    def total_s(self, alpha: float) -> float:
        """Return how long the whole answer takes [s]."""
        return self.prefill_s + self.answers[alpha].after_prefill_s

    def by_four_bit(self) -> 'RecordedItem | None':
        """Return the item as the target with int4 weights answers it; None: not recorded."""
        if self.four_bit is None:
            return None
        return RecordedItem(self.task, {0.0: self.four_bit}, self.score, reference=self.unevicted)

    def graded(self, alpha: float, tokens: int) -> tuple[float, float]:
        """Return score and fidelity, ROUGE-L to the unevicted answer, of the first tokens."""
        known = self._grades.get((alpha, tokens))
        if known is None:
            text = self.answers[alpha].text(tokens)
            known = self.score(text), rouge_l(self._reference_text, text)
            self._grades[alpha, tokens] = known
        return known

    def graded_within(self, alpha: float, budget_s: float) -> tuple[float, float]:
        """Return score and fidelity of what is there at the deadline."""
        tokens = self.answers[alpha].tokens_within(budget_s - self.prefill_s)
        return self.graded(alpha, tokens)

    @cached_property
    def _reference_text(self) -> str:
        return (self.reference or self.unevicted).text()

    @cached_property
    def _grades(self) -> dict[tuple[float, int], tuple[float, float]]:
        return {}
