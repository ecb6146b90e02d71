"""How fast an answer is written, by the steps that were taken."""

import math
from dataclasses import dataclass

STEPS_TO_KNOW = 8.0
"""After so many steps, what was measured of an answer counts as much as the time model."""
INNER_SPREAD = 0.03
"""Standard deviation of the logarithm that stays: speed changes while an answer is written."""

NODES = ((-math.sqrt(3.0), 1.0 / 6.0), (0.0, 2.0 / 3.0), (math.sqrt(3.0), 1.0 / 6.0))
"""Deviations and weights of a normal distribution (Gauss-Hermite)."""


@dataclass(frozen=True)
class AnswerPace:
    """The time of what is left of an answer, over what the time model predicts.

    It is log-normal: a common part of all steps, of which each step tells something, and noise of
    the single steps, which averages out.

    Arguments:
        factor: the median.
        spread: standard deviation of its logarithm.
    """

    factor: float
    spread: float

    @classmethod
    def after(
        cls, spread: float, steps: int, measured_s: float, predicted_s: float
    ) -> 'AnswerPace':
        """Return the pace after some steps.

        Arguments:
            spread: standard deviation of the logarithm of an answer's time.
            steps: that were taken.
            measured_s, predicted_s: their time [s].
        """
        prior = max(spread, INNER_SPREAD)
        if steps < 1 or not (measured_s > 0.0 and predicted_s > 0.0):
            return cls(1.0, prior)
        known = steps / (steps + STEPS_TO_KNOW)
        factor = math.exp(known * math.log(measured_s / predicted_s))
        return cls(factor, math.hypot(prior * math.sqrt(1.0 - known), INNER_SPREAD))

    def foreseen(self, steps: int, more: float) -> list[tuple[float, 'AnswerPace']]:
        """Return what the pace may turn out to be after more steps, and how likely each is.

        Arguments:
            steps: that were taken.
            more: that are going to be.
        """
        common = math.sqrt(max(self.spread**2 - INNER_SPREAD**2, 0.0))
        learned = more / (more + steps + STEPS_TO_KNOW)
        unknown = math.hypot(common * math.sqrt(1.0 - learned), INNER_SPREAD)
        return [
            (weight, AnswerPace(self.factor * math.exp(node * common * learned**0.5), unknown))
            for node, weight in NODES
        ]
