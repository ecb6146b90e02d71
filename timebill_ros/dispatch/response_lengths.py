"""How long answers become, learned from those that were given: for what a queue will take."""

import math
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass

from timebill_ros.core.constraint import Constraint, ConstraintKind

ANSWERS = 50
"""Answers of a habit that are remembered."""
FEW_ANSWERS = 5
"""With fewer answers of its own, a habit is judged by everybody's of its kind."""
HABITS = 256
"""Habits that are remembered; the one that was silent longest is forgotten first."""
POINTS = 16


@dataclass(frozen=True)
class AnswerLength:
    """The length of one answer.

    Arguments:
        tokens: as generated.
        is_whole: it ended by itself. Else it was cut off, by time or by max_new_tokens, and would
            have become longer (a censored observation).
        thinking_tokens: so many of them are thinking.
    """

    tokens: int
    is_whole: bool
    thinking_tokens: int = 0


@dataclass(frozen=True)
class Habit:
    """What an asker asks again and again.

    Arguments:
        asker: its name.
        constraint: the form of the answer; None: free text.
    """

    asker: str
    constraint: Constraint | None = None

    @property
    def kind(self) -> ConstraintKind:
        """The kind of the form."""
        return self.constraint.kind if self.constraint else ConstraintKind.NONE


def likely_lengths(answers: Iterable[AnswerLength], max_new_tokens: int) -> tuple[int, ...]:
    """Return equally likely lengths of the next answer, in rising order [tokens].

    They are the middles of 16 equal parts of the Kaplan-Meier estimate (Kaplan and Meier 1958),
    which counts an answer that was cut off as "at least so long". What lies beyond the last known
    length counts as max_new_tokens. Without any answer, all lengths up to there are as likely.

    Arguments:
        answers: lengths seen.
        max_new_tokens: the longest answer that is allowed.
    """
    shares = [(part + 0.5) / POINTS for part in range(POINTS)]
    seen = sorted(answers, key=lambda answer: (answer.tokens, not answer.is_whole))
    if not seen:
        return tuple(max(1, math.ceil(share * max_new_tokens)) for share in shares)
    lengths: list[int] = []
    surviving, at_risk = 1.0, len(seen)
    for answer in seen:
        if answer.is_whole:
            surviving *= 1.0 - 1.0 / at_risk
            while len(lengths) < POINTS and shares[len(lengths)] <= 1.0 - surviving:
                lengths.append(answer.tokens)
        at_risk -= 1
    lengths += [max_new_tokens] * (POINTS - len(lengths))
    return tuple(max(1, min(length, max_new_tokens)) for length in lengths)


class ResponseLengths:
    """The lengths of the last answers, of each habit and of all. Used under the dispatcher's lock.

    An asker asks the same kind of question again and again: its own answers tell most. Those of
    another form tell nothing: a choice is short, whoever makes it.
    """

    def __init__(self) -> None:
        self._of_all: dict[ConstraintKind, deque[AnswerLength]] = {
            kind: deque(maxlen=ANSWERS) for kind in ConstraintKind
        }
        self._of_habit: OrderedDict[Habit, deque[AnswerLength]] = OrderedDict()
        self._known: dict[tuple[Habit, int], tuple[int, ...]] = {}

    def observe(self, habit: Habit, answer: AnswerLength) -> None:
        """Learn from an answer that has ended, for whatever reason."""
        if answer.tokens < 1:
            return
        self._known.clear()
        self._of_all[habit.kind].append(answer)
        own = self._of_habit.pop(habit, deque(maxlen=ANSWERS))
        own.append(answer)
        self._of_habit[habit] = own
        if len(self._of_habit) > HABITS:
            self._of_habit.popitem(last=False)

    def likely(self, habit: Habit, max_new_tokens: int) -> tuple[int, ...]:
        """Return equally likely lengths of the next answer, in rising order [tokens].

        Arguments:
            habit: of the asker.
            max_new_tokens: the longest answer that is allowed.
        """
        key = (habit, max_new_tokens)
        if key not in self._known:
            if len(self._known) > HABITS:
                self._known.clear()
            self._known[key] = likely_lengths(self._seen(habit), max_new_tokens)
        return self._known[key]

    def thinking(self, habit: Habit) -> int:
        """Return how much of the next answer is expected to be thinking [tokens]."""
        seen = self._seen(habit)
        return round(sum(answer.thinking_tokens for answer in seen) / len(seen)) if seen else 0

    def _seen(self, habit: Habit) -> deque[AnswerLength]:
        own = self._of_habit.get(habit)
        return own if own and len(own) >= FEW_ANSWERS else self._of_all[habit.kind]
