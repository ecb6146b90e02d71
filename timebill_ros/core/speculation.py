"""How many tokens to guess, and what that may cost an answer at most, if they are wrong."""

from collections import defaultdict
from collections.abc import Sequence

CREDIT_STEPS = 1.0
"""So much more than without guesses, at first [steps]."""
REFILL_STEPS = 0.02
"""And so much more for each token of the answer [steps]."""
MOST_STEPS = 3.0
"""Of what right guesses save, so much may be lost again: answers go on copying behind some wrong
guesses [steps]."""

FIRST_RATE = 0.5
"""So often a guess is right, as long as nothing is known of an answer."""
_FIRST_WEIGHT = 2.0
"""Guesses that FIRST_RATE counts as."""
_DECAY = 0.9
"""Each guess counts less by this factor than the next: answers begin to copy, and end it."""


class GuessRates:
    """How often the guesses of one answer were right.

    Guesses are told apart by how many of the newest tokens had been there before (`matched`), and
    by how many guesses before them were right too (`depth`).
    """

    def __init__(self) -> None:
        self._right: dict[tuple[int, int], float] = defaultdict(float)
        self._all: dict[tuple[int, int], float] = defaultdict(float)

    def count(self, matched: int, depth: int, is_right: bool) -> None:
        """Count a guess whose token is known now."""
        key = (matched, depth)
        self._right[key] = _DECAY * self._right[key] + is_right
        self._all[key] = _DECAY * self._all[key] + 1.0

    def worth(self, matched: int, extra_steps: Sequence[float]) -> int:
        """Return how many guesses save most, less what they cost; 0: they do not pay.

        Arguments:
            matched: tokens, as above.
            extra_steps: what a pass over one, two, ... guesses more takes [steps].
        """
        best, most, saved, chance = 0, 0.0, 0.0, 1.0
        for depth, extra in enumerate(extra_steps):
            right, known = (which[matched, depth] for which in (self._right, self._all))
            chance *= (right + _FIRST_WEIGHT * FIRST_RATE) / (known + _FIRST_WEIGHT)
            saved += chance
            if saved - extra > most:
                best, most = depth + 1, saved - extra
        return best


class SpeculationCredit:
    """A token bucket: a guess is paid before it is made, and each right one saves a step."""

    def __init__(self) -> None:
        self._steps = CREDIT_STEPS

    def has(self, steps: float) -> bool:
        """Return whether so much may be lost."""
        return steps <= self._steps

    def pay(self, steps: float) -> None:
        """Lose so much."""
        self._steps -= steps

    def wrote(self) -> None:
        """Count a token of the answer."""
        self._add(REFILL_STEPS)

    def saved(self) -> None:
        """Count a step that was not needed, because a guess was right."""
        self._add(1.0)

    def _add(self, steps: float) -> None:
        self._steps = min(self._steps + steps, MOST_STEPS)


def most_lost_steps(response_tokens: int) -> float:
    """Return how many steps more than without guesses an answer takes at most."""
    return CREDIT_STEPS + REFILL_STEPS * response_tokens
