"""From the node's parameters to the settings of what is inside."""

from typing import cast

from timebill_ros.core.eviction_settings import EvictionSettings
from timebill_ros.core.planner_settings import EvictionPolicy, PlannerSettings
from timebill_ros.dispatch.dispatch_settings import AdmissionRule, DispatchSettings, QueueOrder
from timebill_ros.node.settings import NodeSettings
from timebill_ros.worker.protocol import Load


def planner_settings(settings: NodeSettings, min_kept_tokens: int) -> PlannerSettings:
    """Return how plans are made; min_kept_tokens is the eviction's floor."""
    return PlannerSettings(
        pessimistic_factor=settings.pessimistic_factor,
        eviction_policy=cast(EvictionPolicy, settings.eviction_policy),
        max_eviction_ratio=settings.max_eviction_ratio,
        fixed_eviction_ratio=settings.fixed_eviction_ratio,
        min_kept_tokens=min_kept_tokens,
    )


def dispatch_settings(settings: NodeSettings) -> DispatchSettings:
    """Return how queries are served."""
    return DispatchSettings(
        max_queue_length=settings.max_queue_length,
        publish_reserve_s=settings.publish_reserve,
        chunk_period_s=1.0 / settings.chunk_rate,
        abort_grace_s=settings.abort_grace,
        max_time_budget_s=settings.max_time_budget,
        queue_order=cast(QueueOrder, settings.queue_order),
        admission=cast(AdmissionRule, settings.admission),
        keep_latest=settings.keep_latest,
    )


def load_of(settings: NodeSettings) -> Load:
    """Return what the worker is told to load."""
    return Load(
        settings.model,
        settings.device,
        settings.dtype,
        settings.quantization,
        settings.threads,
        settings.repetition_penalty,
        settings.length_predictor,
        settings.profile_time,
        EvictionSettings(
            window=settings.eviction_window,
            kernel=settings.eviction_kernel,
            pooling=settings.eviction_pooling,
            window_aggregation=settings.eviction_window_aggregation,
            group_aggregation=settings.eviction_group_aggregation,
            sinks=settings.eviction_sinks,
        ),
    )
