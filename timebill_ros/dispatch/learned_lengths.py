"""How long each asker's answers become, learned from those that it was given.

An asker asks the same kinds of questions all day. Lengths count as shares of max_new_tokens. An
asker with few answers is judged by those of all askers. Where a length predictor tells something
too, both are mixed. The weights are those with which the mixture tells the lengths that come most
surely (the largest mean logarithmic score, found by expectation and maximisation, online). The
mixture is corrected by where earlier lengths lay in it, of all askers.
"""

import hashlib
import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from timebill_ros.core import length_correction
from timebill_ros.core.asker_lengths import AskerLengths
from timebill_ros.core.constraint import ConstraintKind
from timebill_ros.core.length_cells import UNIFORM, Array, below, likelihood
from timebill_ros.core.remaining_lengths import RemainingLengths
from timebill_ros.dispatch.answer_length import AnswerLength
from timebill_ros.dispatch.habit import Habit
from timebill_ros.dispatch.length_memory import (
    HABITS,
    MEMORY,
    MEMORY_OF_ALL,
    START_WEIGHT,
    STEPPED,
    STRENGTH,
    Learned,
    LengthMemory,
)

POINTS = 16
"""Equally likely lengths that stand for a distribution."""
_MOST_TOLD = 1024


class LearnedLengths:
    """Learns, and tells what was learned. May be used from any thread.

    Those of another form tell nothing: see Habit.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._memory = LengthMemory()
        self._likely: dict[Habit | ConstraintKind, tuple[float, ...]] = {}
        self.answers = 0
        """How many were learned from, since the start of the process."""

    def of(self, habit: Habit) -> AskerLengths | None:
        """Return how long the next answer becomes; None: nothing was learned of its kind."""
        with self._lock:
            return self._of(habit)

    def likely(self, habit: Habit, max_new_tokens: int) -> tuple[int, ...]:
        """Return equally likely lengths of the next answer, in rising order [tokens].

        They are remembered until the next answer: a queue may be long.

        Arguments:
            habit: of the asker. Without any answer of its kind, all lengths are as likely.
            max_new_tokens: the longest answer that is allowed.
        """
        with self._lock:
            if habit not in self._likely:
                if len(self._likely) >= _MOST_TOLD:
                    self._likely.clear()
                self._likely[habit] = self._likely_shares(habit)
            lengths = (math.ceil(share * max_new_tokens - 1e-9) for share in self._likely[habit])
            return tuple(max(1, length) for length in lengths)

    def thinking(self, habit: Habit) -> int:
        """Return how much of the next answer is expected to be thinking [tokens]."""
        with self._lock:
            of_all = self._memory.of_all.get(habit.kind, Learned())
            own = self._memory.of_habit.get(_key(habit), Learned())
            common = of_all.thinking / of_all.thought if of_all.thought else 0.0
            return round((own.thinking + STRENGTH * common) / (own.thought + STRENGTH))

    def steps_per_token(self, habit: Habit) -> float:
        """Return how many steps a token of the next answer is expected to take, in (0, 1].

        Tokens that are forced, or guessed rightly, take less than one.
        """
        with self._lock:
            of_all = self._memory.of_all.get(habit.kind, Learned())
            own = self._memory.of_habit.get(_key(habit), Learned())
            common = (of_all.steps + STEPPED) / (of_all.stepped + STEPPED)
            return min(1.0, (own.steps + STEPPED * common) / (own.stepped + STEPPED))

    def observe(
        self, habit: Habit, answer: AnswerLength, max_new_tokens: int, predicted: Sequence[float]
    ) -> None:
        """Learn from an answer that has ended, for whatever reason.

        Arguments:
            max_new_tokens: of this answer.
            predicted: by the length predictor, as AskerLengths.probabilities; empty: nothing.
        """
        if answer.tokens < 1:
            return
        with self._lock:
            self._likely.clear()
            probabilities, weight = self._told(habit)
            of_all = self._memory.of_all.setdefault(habit.kind, Learned())
            own = self._memory.of_habit.setdefault(_key(habit), Learned())
            self._memory.of_habit.move_to_end(_key(habit))
            what = (answer.tokens, max_new_tokens, answer.is_whole)
            self._correct(probabilities, weight, predicted, habit.kind, what)
            for learned, memory in ((own, MEMORY), (of_all, MEMORY_OF_ALL)):
                if len(predicted):
                    by_predictor = weight * likelihood(np.array(predicted), *what)
                    by_counts = (1.0 - weight) * likelihood(probabilities, *what)
                    sum_of_both = max(by_predictor + by_counts, 1e-300)
                    learned.judge(by_predictor / sum_of_both, memory)
                learned.counts.add(*what, memory)
                learned.think(answer.thinking_tokens, memory)
                if answer.passes is not None:
                    learned.step(answer.passes, answer.tokens - 1, memory)
            if len(self._memory.of_habit) > HABITS:
                self._memory.of_habit.popitem(last=False)
            self.answers += 1

    def replace(self, memory: LengthMemory) -> None:
        """Take what was learned before, or elsewhere, instead of what is known."""
        with self._lock:
            self._memory = memory
            self._likely.clear()

    def copy(self) -> LengthMemory:
        """Return what is known; it does not change any more."""
        with self._lock:
            return LengthMemory(
                {kind: learned.copy() for kind, learned in self._memory.of_all.items()},
                {kind: counts.copy() for kind, counts in self._memory.corrections.items()},
                OrderedDict(
                    (key, learned.copy()) for key, learned in self._memory.of_habit.items()
                ),
            )

    def _of(self, habit: Habit) -> AskerLengths | None:
        if habit.kind not in self._memory.of_all:
            return None
        probabilities, weight = self._told(habit)
        correction = length_correction.curve(self._memory.corrections[habit.kind])
        return AskerLengths(tuple(probabilities.tolist()), weight, tuple(correction.tolist()))

    def _likely_shares(self, habit: Habit) -> tuple[float, ...]:
        """Return what likely() does, of max_new_tokens; of all askers that are new it is the same.

        To find it takes longer than all else that is done with a waiting query.
        """
        is_new = _key(habit) not in self._memory.of_habit
        if is_new and habit.kind in self._likely:
            return self._likely[habit.kind]
        shares = RemainingLengths.of(None, 1, self._of(habit)).equally_likely(POINTS)
        if is_new:
            self._likely[habit.kind] = shares
        return shares

    def _correct(
        self,
        probabilities: Array,
        weight: float,
        predicted: Sequence[float],
        kind: ConstraintKind,
        what: tuple[int, int, bool],
    ) -> None:
        tokens, max_new_tokens, is_whole = what
        mixture = probabilities
        if len(predicted):
            mixture = weight * np.array(predicted) + (1.0 - weight) * probabilities
        first = below(mixture, (tokens - 1) / max_new_tokens)
        last = below(mixture, tokens / max_new_tokens)
        counts = self._memory.corrections.setdefault(kind, length_correction.no_counts())
        length_correction.count(counts, first, last, is_whole, MEMORY_OF_ALL)

    def _told(self, habit: Habit) -> tuple[Array, float]:
        """Return the probabilities of a habit's lengths, and the predictor's weight."""
        of_all = self._memory.of_all.get(habit.kind, Learned())
        own = self._memory.of_habit.get(_key(habit), Learned())
        common = of_all.counts.probabilities(UNIFORM, STRENGTH)
        weight = own.weight(of_all.weight(START_WEIGHT))
        return own.counts.probabilities(common, STRENGTH), weight


@lru_cache(maxsize=HABITS)
def _key(habit: Habit) -> str:
    constraint = habit.constraint
    form = '' if constraint is None else f'{constraint.kind.name} {constraint.text}'
    text = f'{len(habit.asker)} {habit.asker} {form}'
    return hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:20]
