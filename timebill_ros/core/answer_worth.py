"""What an answer is worth that was written after an eviction, and how much longer it becomes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

REFERENCE_TOKENS = 256.0


@dataclass(frozen=True)
class AnswerWorth:
    """Worth and length under eviction, by the eviction ratio; straight lines between the ratios.

    The worth is a share of the unevicted answer's. What was written before the eviction has seen
    the whole prompt, so only the rest of the answer loses, and only the rest becomes longer.

    Arguments:
        ratios: of which the others are known, rising from 0.
        worths: of an answer that is evicted before its first token, in [0, 1], if
            REFERENCE_TOKENS of the prompt are kept.
        stretches: the length over the unevicted answer's.
        spreads: standard deviation of the logarithm of this quotient.
        few_tokens: how much less the same share is worth if it has fewer tokens, >= 0. The worth
            is raised to (REFERENCE_TOKENS / kept tokens) ** few_tokens.
        left_power: the loss grows with this power of the share that is left to be written.
    """

    ratios: tuple[float, ...]
    worths: tuple[float, ...]
    stretches: tuple[float, ...]
    spreads: tuple[float, ...]
    few_tokens: float = 0.0
    left_power: float = 1.0

    def worth(self, prompt_tokens: Array | float, kept: Array, share_left: Array) -> Array:
        """Return the worth of an answer in time.

        Arguments:
            prompt_tokens: N_x.
            kept: prompt tokens that stay, >= 1.
            share_left: share of the answer that was not written yet at the eviction.
        """
        by_share = np.interp(1.0 - kept / prompt_tokens, self.ratios, self.worths)
        evicted = by_share ** ((REFERENCE_TOKENS / kept) ** self.few_tokens)
        return np.asarray(1.0 - (1.0 - evicted) * share_left**self.left_power)

    def stretch(self, ratio: Array) -> Array:
        """Return how many times longer what is left to be written becomes."""
        return np.asarray(np.interp(ratio, self.ratios, self.stretches))

    def spread(self, ratio: Array) -> Array:
        """Return how unsure the length of what is left to be written becomes."""
        return np.asarray(np.interp(ratio, self.ratios, self.spreads))


PRIOR = AnswerWorth(
    ratios=(0.0, 0.25, 0.5, 0.75, 0.95, 1.0),
    worths=(1.0, 0.88, 0.77, 0.54, 0.14, 0.0),
    stretches=(1.0, 1.0, 1.0, 1.0, 1.32, 1.4),
    spreads=(0.0, 0.2, 0.3, 0.4, 0.5, 0.5),
)
"""Of a model that was not measured. Worths and stretches are those of the built-in model, on 336
items of five tasks that it can do; see docs/measured.md. The spreads are a guess."""
