"""What the node says of itself on ~/statistics, in plain numbers."""

import os

from builtin_interfaces.msg import Time
from std_msgs.msg import Header

import timebill_ros.msg as msg
from timebill_ros.dispatch.query_statistics import QuerySummary
from timebill_ros.node.diagnostics import PERCENTILES, mean, percentile, resident_memory_mb
from timebill_ros.node.node_state import NodeState


def statistics_message(
    now: Time, summary: QuerySummary, state: NodeState, queue_length: int
) -> msg.Statistics:
    """Return the message, stamped now.

    Arguments:
        summary: how queries have ended.
        state: of the node.
        queue_length: queries that wait.
    """
    model, times_s = state.estimate.time_model, summary.total_times_s
    missed = {f'missed_{reason.name.lower()}': count for reason, count in summary.missed}
    percentiles = {
        f'{name}_p{percent}': percentile(values, percent)
        for name, values in (
            ('processing_time', times_s),
            ('response_time', summary.response_times_s),
        )
        for percent in PERCENTILES
    }
    return msg.Statistics(
        header=Header(stamp=now),
        is_serving=not state.why_not_serving,
        queue_length=queue_length,
        answered=summary.answered - summary.answered_late,
        answered_late=summary.answered_late,
        **missed,
        **{f'{kind}_rate': rate for kind, rate in summary.rates.items()},
        miss_rate=summary.miss_rate,
        consecutive_misses=summary.consecutive_misses,
        processing_time=times_s[-1] if times_s else 0.0,
        **percentiles,
        estimate_error=mean([abs(error) for error in summary.estimate_errors]),
        estimate_bias=mean(summary.estimate_errors),
        drift_factor=state.estimate.drift_factor if model else 0.0,
        worst_case_margin=model.delta if model else 0.0,
        prefix_cache_prompts=state.prefixes.prompts,
        prefix_cache_mb=state.prefixes.nbytes / 1e6,
        prefix_cache_share=summary.cached_share,
        node_memory_mb=resident_memory_mb(os.getpid()),
        worker_memory_mb=state.worker_memory_mb,
        worker_restarts=state.restarts,
    )
