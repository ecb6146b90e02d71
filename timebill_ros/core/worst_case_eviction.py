"""Policy timebill: the smallest eviction ratio whose worst case fits, in whole tokens."""

import math

from timebill_ros.core.optimal_eviction_ratio import optimal_eviction_ratio
from timebill_ros.core.time_model import TimeModel


def kept_tokens_to_fit(
    time_model: TimeModel,
    prompt_tokens: int,
    fewest: int,
    response_tokens: int,
    prefill_s: float,
    total_s: float,
) -> int | None:
    """Return the most kept tokens for which the worst case fits; None: it never fits.

    If the whole prompt fits, nothing is evicted: eviction costs time too.

    Arguments:
        time_model: mean times, and the worst-case margins.
        prompt_tokens: N_x.
        fewest: the fewest tokens that may be kept, in 1..N_x.
        response_tokens: N_W.
        prefill_s: the prefill's time [s].
        total_s: from the prefill's start to the deadline; may be negative or infinite [s].
    """
    worst = time_model.worst_case(response_tokens)

    def worst_s(kept: int) -> float:
        return prefill_s + worst.t_after_prefill(prompt_tokens, kept, response_tokens)

    if worst_s(prompt_tokens) <= total_s:
        return prompt_tokens
    if worst_s(fewest) > total_s:
        return None
    decode_s = total_s - prefill_s - worst.t_eviction(prompt_tokens)
    ratio_max = 1.0 - fewest / prompt_tokens
    ratio = optimal_eviction_ratio(worst, prompt_tokens, response_tokens, decode_s, ratio_max)
    kept = math.floor((1.0 - ratio) * prompt_tokens)
    # The formula is exact; its value in floating point can be one token off.
    for candidate in (kept + 1, kept, kept - 1):
        if fewest <= candidate < prompt_tokens and worst_s(candidate) <= total_s:
            return candidate
    return fewest
