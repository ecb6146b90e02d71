"""Policy expected: the eviction ratio with the largest (1 - alpha) * P(in time).

Not in the paper, whose alpha* is the smallest ratio with a worst case that fits: where the worst
case fits at none it is alpha_max, though the answer may come in time with hardly any eviction.
"""

import math
from statistics import NormalDist

from timebill_ros.core.time_model import TimeModel
from timebill_ros.core.worst_case_margin import BOUND_SHARE

CHOICES = 101
"""How many numbers of kept tokens are compared, evenly spread: so alpha is good to 1 %."""
LEAST_SPREAD = 1e-3
BOUND_SPREADS = NormalDist().inv_cdf(BOUND_SHARE)
"""How many standard deviations of the logarithm the worst case is above the mean."""


def expected_kept_tokens(
    time_model: TimeModel,
    prompt_tokens: int,
    fewest: int,
    response_tokens: int,
    remaining_s: float,
) -> int | None:
    """Return how many tokens to keep for the largest (1 - alpha) * P(in time).

    It is what an answer is worth on average, if it is worth the share of the prompt that it could
    read while it was written, and nothing when it is late. None: it is late whatever is kept.

    Arguments:
        time_model: mean times, and by delta how far off they can be.
        prompt_tokens: N_x.
        fewest: tokens that have to be kept, in 1..N_x.
        response_tokens: N_hat.
        remaining_s: what is left for eviction and decoding; any sign, may be infinite [s].
    """

    def worth(kept: int) -> float:
        mean_s = time_model.t_after_prefill(prompt_tokens, kept, response_tokens)
        return kept * in_time_probability(mean_s, time_model.delta, remaining_s)

    distance = (prompt_tokens - fewest) / (CHOICES - 1)
    choices = [prompt_tokens - round(step * distance) for step in range(CHOICES)]
    best = max(choices, key=worth)
    return best if worth(best) > 0.0 else None


def in_time_probability(mean_s: float, delta: float, remaining_s: float) -> float:
    """Return the probability that something ends in time whose estimate can be off.

    Its time is log-normal about the estimate, so wide that 99 % end within 1 + delta times it.

    Arguments:
        mean_s: the estimate, >= 0 [s].
        delta: the margin of the worst case over the mean.
        remaining_s: what is left; any sign, may be infinite [s].
    """
    if mean_s == 0.0 or remaining_s == math.inf:
        return float(remaining_s >= 0.0)
    if remaining_s <= 0.0:
        return 0.0
    spread = max(math.log1p(delta) / BOUND_SPREADS, LEAST_SPREAD)
    return math.erfc((math.log(mean_s) - math.log(remaining_s)) / spread / math.sqrt(2.0)) / 2.0
