"""What guessed tokens may cost an answer at most, if they are wrong."""

CREDIT_STEPS = 1.0
"""So much more than without guesses, at first [steps]."""
REFILL_STEPS = 0.02
"""And so much more for each token of the answer [steps]."""
MOST_STEPS = 3.0
"""Of what right guesses save, so much may be lost again: answers go on copying behind some wrong
guesses [steps]."""


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
