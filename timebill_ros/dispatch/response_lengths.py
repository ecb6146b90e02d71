"""How long answers become, learned from those that were given: for what a queue will take."""

import math
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass

ANSWERS = 50
"""Answers of an asker that are remembered."""
FEW_ANSWERS = 5
"""With fewer answers of its own, an asker is judged by everybody's."""
ASKERS = 256
"""Askers that are remembered; the one that was silent longest is forgotten first."""
POINTS = 16


@dataclass(frozen=True)
class AnswerLength:
    """The length of one answer.

    Arguments:
        tokens: as generated.
        is_whole: it ended by itself. Else it was cut off, by time or by max_new_tokens, and would
            have become longer (a censored observation).
    """

    tokens: int
    is_whole: bool


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
    """The lengths of the last answers, of each asker and of all. Used under the dispatcher's lock.

    An asker asks the same kind of question again and again: its own answers tell most.
    """

    def __init__(self) -> None:
        self._of_all: deque[AnswerLength] = deque(maxlen=ANSWERS)
        self._of_asker: OrderedDict[str, deque[AnswerLength]] = OrderedDict()
        self._known: dict[tuple[str, int], tuple[int, ...]] = {}

    def observe(self, asker: str, answer: AnswerLength) -> None:
        """Learn from an answer that has ended, for whatever reason."""
        if answer.tokens < 1:
            return
        self._known.clear()
        self._of_all.append(answer)
        own = self._of_asker.pop(asker, deque(maxlen=ANSWERS))
        own.append(answer)
        self._of_asker[asker] = own
        if len(self._of_asker) > ASKERS:
            self._of_asker.popitem(last=False)

    def likely(self, asker: str, max_new_tokens: int) -> tuple[int, ...]:
        """Return equally likely lengths of an asker's next answer, in rising order [tokens].

        Arguments:
            asker: who asks.
            max_new_tokens: the longest answer that is allowed.
        """
        key = (asker, max_new_tokens)
        if key not in self._known:
            if len(self._known) > ASKERS:
                self._known.clear()
            own = self._of_asker.get(asker, ())
            answers = own if len(own) >= FEW_ANSWERS else self._of_all
            self._known[key] = likely_lengths(answers, max_new_tokens)
        return self._known[key]
