"""Policy expected: the eviction ratio with the largest (1 - alpha) * P(in time).

This is not in the paper. The paper's alpha* is the smallest ratio whose worst case fits. If no
ratio fits, it is alpha_max, although the answer may come in time with hardly any eviction.
"""

import math

from timebill_ros.core.time_model import TimeModel

CHOICES = 101
"""How many evenly spread numbers of kept tokens are compared: alpha is exact to 1 %."""
LEAST_SPREAD = 1e-3


def expected_kept_tokens(
    time_model: TimeModel,
    prompt_tokens: int,
    fewest: int,
    response_tokens: int,
    remaining_s: float,
) -> int | None:
    """Return how many tokens to keep for the largest (1 - alpha) * P(in time).

    This is the expected value of an answer, if its value is the share of the prompt that it could
    attend to, and 0 if it is late. None: it is late for any number of kept tokens.

    Arguments:
        time_model: mean times, and how far true ones lie from them.
        prompt_tokens: N_x.
        fewest: the fewest tokens that may be kept, in 1..N_x.
        response_tokens: N_hat.
        remaining_s: time left for eviction and decoding; may be negative or infinite [s].
    """
    spread = time_model.spread(max(0, response_tokens - 1))

    def worth(kept: int) -> float:
        mean_s = time_model.t_after_prefill(prompt_tokens, kept, response_tokens)
        return kept * in_time_probability(mean_s, spread, remaining_s)

    distance = (prompt_tokens - fewest) / (CHOICES - 1)
    choices = [prompt_tokens - round(step * distance) for step in range(CHOICES)]
    best = max(choices, key=worth)
    return best if worth(best) > 0.0 else None


def in_time_probability(mean_s: float, spread: float, remaining_s: float) -> float:
    """Return the probability that a task ends in time, given the estimate of its time.

    The true time is log-normal around the estimate.

    Arguments:
        mean_s: the estimate, >= 0 [s].
        spread: standard deviation of its logarithm.
        remaining_s: time left; may be negative or infinite [s].
    """
    if mean_s == 0.0 or remaining_s == math.inf:
        return float(remaining_s >= 0.0)
    if remaining_s <= 0.0:
        return 0.0
    spread = max(spread, LEAST_SPREAD)
    return math.erfc((math.log(mean_s) - math.log(remaining_s)) / spread / math.sqrt(2.0)) / 2.0
