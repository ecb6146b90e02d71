"""What a query cost, beside what it was predicted to cost."""

from dataclasses import dataclass, replace

from timebill_ros.core.plan import Plan


@dataclass(frozen=True)
class Bill:
    """The fields of msg/Bill; the comments there explain each field. Times are in s."""

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
    thinking_tokens: int = 0
    preemptions: int = 0
    preempted_time: float = 0.0
    cached_tokens: int = 0
    forced_tokens: int = 0
    passes: int = 0
    constraint_time: float = 0.0
    discarded_tokens: int = 0
    predicted_remote_time: float = 0.0
    remote_time: float = 0.0

    def with_plan(self, plan: Plan) -> 'Bill':
        """Return the bill with the decisions and predictions of a plan."""
        return replace(
            self,
            kept_tokens=plan.kept_tokens,
            eviction_ratio=plan.eviction_ratio,
            predicted_response_tokens=plan.predicted_response_tokens,
            worst_case_response_tokens=plan.worst_case_response_tokens,
            predicted_prefill_time=plan.predicted_prefill_time_s,
            predicted_eviction_time=plan.predicted_eviction_time_s,
            predicted_decode_time=plan.predicted_decode_time_s,
            predicted_total_time=plan.predicted_total_time_s,
            worst_case_time=plan.worst_case_time_s,
        )
