"""What an operator chooses about serving queries."""

from dataclasses import dataclass
from typing import Literal

QueueOrder = Literal['fifo', 'edf']
"""fifo: first in, first out; edf: earliest deadline first."""
AdmissionRule = Literal['backlog', 'alone']
"""backlog: counts what runs and what waits ahead; alone: as though nobody else had asked."""


@dataclass(frozen=True)
class DispatchSettings:
    """The node's parameters of these names; times in seconds."""

    max_queue_length: int
    publish_reserve_s: float
    chunk_period_s: float
    abort_grace_s: float
    max_time_budget_s: float = 600.0
    queue_order: QueueOrder = 'fifo'
    admission: AdmissionRule = 'backlog'
    keep_latest: bool = False
