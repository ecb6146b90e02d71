"""The planner's decision for one query, and its predicted cost."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """A decision. Predicted times are 0 until a time model is fitted.

    Arguments:
        kept_tokens: prompt tokens that stay in the KV cache.
        max_new_tokens: greatest length of the answer [tokens]; a plan never lowers it.
        eviction_ratio: effective alpha, 1 - kept_tokens / prompt_tokens, in [0, 1).
        predicted_response_tokens: N_hat.
        worst_case_response_tokens: N_W = min(k * N_hat, N_max).
        predicted_prefill_time_s, predicted_eviction_time_s, predicted_decode_time_s: mean
            estimates [s]; decoding is for N_hat.
        worst_case_time_s: t_wcet, the bound on the sum of the three for N_W [s]. A plan made after
            the prefill uses the measured time of the prefill.
    """

    kept_tokens: int
    max_new_tokens: int
    eviction_ratio: float = 0.0
    predicted_response_tokens: int = 0
    worst_case_response_tokens: int = 0
    predicted_prefill_time_s: float = 0.0
    predicted_eviction_time_s: float = 0.0
    predicted_decode_time_s: float = 0.0
    worst_case_time_s: float = 0.0

    @property
    def predicted_total_time_s(self) -> float:
        """t_e2e: prefill, eviction and decoding [s]."""
        return (
            self.predicted_prefill_time_s
            + self.predicted_eviction_time_s
            + self.predicted_decode_time_s
        )
