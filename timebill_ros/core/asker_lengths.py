"""How long an asker's answers become, as the node tells the worker. Without numpy: see wire.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AskerLengths:
    """A distribution of lengths, learned from earlier answers.

    Arguments:
        probabilities: of a length in each cell of length_cells, and, last, of max_new_tokens for
            all answers that do not end before.
        predictor_weight: of the length predictor's distribution, in [0, 1], where there is one;
            this one has the rest.
        correction: of the mixture of both, see length_correction.curve; empty: there is none.
    """

    probabilities: tuple[float, ...]
    predictor_weight: float
    correction: tuple[float, ...] = ()
