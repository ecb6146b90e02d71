"""The paper's closed form: the smallest eviction ratio whose worst case fits the budget."""

from timebill_ros.core.time_model import TimeModel


def optimal_eviction_ratio(
    time_model: TimeModel,
    prompt_tokens: int,
    response_tokens: int,
    decode_budget_s: float,
    max_eviction_ratio: float,
) -> float:
    """Return alpha*, the smallest ratio in [0, alpha_max] whose decoding fits the budget.

    Eq. 11 of the paper, with its erratum corrected: the middle term is (N_W - 2) / (2 * N_x). If
    no ratio fits, the result is alpha_max. That includes a budget that is too small when no ratio
    changes the time (p = 0, N_W <= 1).

    Arguments:
        time_model: worst-case p and q.
        prompt_tokens: N_x, >= 1.
        response_tokens: N_W.
        decode_budget_s: T without predictor, prefill and eviction [s]; may be negative or
            infinite.
        max_eviction_ratio: alpha_max, in [0, 1).
    """
    steps = response_tokens - 1
    if time_model.t_decode(prompt_tokens, response_tokens) <= decode_budget_s:
        return 0.0
    prompt_s = time_model.p * prompt_tokens * steps
    if steps < 1 or prompt_s == 0.0:
        return max_eviction_ratio
    # One fraction instead of three terms: for a tiny p, these are large and cancel each other.
    ratio = 1.0 - (decode_budget_s - time_model.t_decode(0, response_tokens)) / prompt_s
    return min(max(ratio, 0.0), max_eviction_ratio)
