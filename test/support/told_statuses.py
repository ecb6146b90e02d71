"""Messages on /diagnostics, made by the node's own functions, without a node."""

from typing import Any

from builtin_interfaces.msg import Time

from timebill_ros.core.link_model import LinkReport, LinkState
from timebill_ros.core.outcome import MissReason
from timebill_ros.core.remote_settings import RemoteSettings
from timebill_ros.core.time_model import TimeModel
from timebill_ros.dispatch.query_statistics import QuerySummary
from timebill_ros.node.diagnostics import (
    deadlines_status,
    diagnostic_array,
    estimate_status,
    inference_status,
)
from timebill_ros.node.remote_status import remote_status
from timebill_ros.worker.protocol import Estimate, PrefixesHeld
from timebill_ros.worker.worker_client import WorkerState


def told(node: str = '/timebill', *, has_link: bool = True) -> Any:
    """Return what a node of this name says that has served and missed queries."""
    summary = QuerySummary(
        queries=100,
        misses=12,
        consecutive_misses=2,
        total_times_s=(0.5, 1.5),
        answered=4711,
        missed=((MissReason.KILLED, 7), (MissReason.OVERLOADED, 5), (MissReason.EXPIRED, 0)),
    )
    model = TimeModel(1e-8, 1e-4, 0.01, 1e-6, 1e-3, delta=0.37)
    estimate = Estimate(model, drift_factor=1.25, reading_drift_factor=1.1)
    settings = RemoteSettings(
        remote_policy='prefer', remote_url='https://workstation:8000/v1', remote_model='big'
    )
    return diagnostic_array(
        Time(),
        inference_status(
            node, WorkerState.READY, '', 'tiny', None, 1, 512.0, PrefixesHeld(3, 12_300_000, 900)
        ),
        deadlines_status(node, summary, 6, is_serving=True),
        estimate_status(node, estimate, (0.1, -0.1), 0.95),
        *remote_status(
            node, settings, LinkReport(LinkState.SLOW, 'no answer', 3) if has_link else None
        ),
    )
