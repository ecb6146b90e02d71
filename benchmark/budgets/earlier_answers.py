"""Learns lengths from the earlier answers of `make bench-closed_loop`, as the node does."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from benchmark.budgets.closed_loop_arms import Answers
from benchmark.budgets.closed_loop_outcome import Outcome
from timebill_ros.core.remaining_lengths import in_cells
from timebill_ros.dispatch.answer_length import AnswerLength
from timebill_ros.dispatch.habit import Habit
from timebill_ros.dispatch.learned_lengths import LearnedLengths


@dataclass
class EarlierAnswers:
    """Each task is an asker, that asks one item after the other with the same budget."""

    _lengths: LearnedLengths = field(default_factory=LearnedLengths)

    def known_to(self, answers: Answers) -> Answers:
        """Return an item of which is known what was learned from those before it."""
        return replace(answers, learned=self._lengths.of(_habit(answers)))

    def learn(self, answers: Answers, outcome: Outcome) -> None:
        """Learn from what an asker was given: an answer, or how much was written in time."""
        is_whole = outcome.completion == 1.0 and outcome.tokens < answers.longest
        cells: Sequence[float] = ()
        if answers.length is not None:
            cells = tuple(in_cells(answers.length, answers.longest).tolist())
        self._lengths.observe(
            _habit(answers),
            AnswerLength(outcome.tokens, is_whole),
            answers.longest,
            cells,
        )


def _habit(answers: Answers) -> Habit:
    """Return what the node knows an asker's kind of question by: its name and its form."""
    return Habit(answers.item.task, answers.item.constraint)
