"""What a query cost, beside what it was expected to cost."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bill:
    """The fields of msg/Bill, whose comments say what each means; times are in s."""

    time_budget: float = 0.0
    queue_time: float = 0.0
    prompt_tokens: int = 0
    kept_tokens: int = 0
    predicted_response_tokens: int = 0
    worst_case_response_tokens: int = 0
    response_tokens: int = 0
    eviction_ratio: float = 0.0
    predicted_prefill_time: float = 0.0
    prefill_time: float = 0.0
    predicted_eviction_time: float = 0.0
    eviction_time: float = 0.0
    predicted_decode_time: float = 0.0
    decode_time: float = 0.0
    predicted_total_time: float = 0.0
    total_time: float = 0.0
    worst_case_time: float = 0.0
    predictor_time: float = 0.0
    slack: float = 0.0
