"""What an operator chooses about serving queries."""

from dataclasses import dataclass
from typing import Literal, get_args

from timebill_ros.core.parameter_spec import parameter
from timebill_ros.core.settings import Settings

QueueOrder = Literal['fifo', 'edf']
"""fifo: first in, first out; edf: earliest deadline first."""
AdmissionRule = Literal['backlog', 'alone']
"""backlog: counts what runs and what waits ahead; alone: counts the query alone."""


@dataclass(frozen=True)
class DispatchSettings(Settings):
    """How queries wait, which are refused, and when they end."""

    queue_order: QueueOrder = parameter(
        'fifo',
        "Which query is next. 'fifo': first in, first out. 'edf': earliest deadline first.",
        choices=get_args(QueueOrder),
    )
    preemption: bool = parameter(
        True,
        'A query may interrupt one with a later deadline, which goes on afterwards. It does so if '
        'one would be late otherwise, and if no more queries miss their deadlines for it. With '
        '`queue_order: edf` only.',
    )
    admission: AdmissionRule = parameter(
        'backlog',
        "Which queries the node refuses although a place is free. 'backlog': those with less time "
        'left than their prefill takes (INFEASIBLE), and those that are not predicted to be '
        "completed behind the running and the waiting queries (OVERLOADED). 'alone': only what is "
        'INFEASIBLE.',
        choices=get_args(AdmissionRule),
    )
    admission_probability: float = parameter(
        0.5,
        'The least probability to be completed in time with which `admission: backlog` accepts a '
        'query. Lower: more queries start, and more of them are cut off.',
        bounds=(0.01, 0.99),
    )
    min_partial_share: float = parameter(
        0.5,
        'With overrun policy PARTIAL, `admission: backlog` accepts a query if this share of its '
        'answer is predicted to be there in time.',
        bounds=(0.01, 1.0),
    )
    keep_latest: bool = parameter(
        False,
        'An accepted query cancels the older ones of its asker. A running one is cancelled too, '
        'but only once until the asker has no query left.',
    )
    max_queue_length: int = parameter(
        16,
        'Largest number of waiting queries. The running query does not count.',
        unit='queries',
        bounds=(1, 100000),
    )
    max_time_budget_s: float = parameter(
        600.0,
        'Largest time budget. A query with a larger one is invalid.',
        name='max_time_budget',
        unit='s',
        bounds=(0.001, 86400.0),
    )
    publish_reserve_s: float = parameter(
        0.02,
        'The node ends a query this long before its deadline, so that the reply is out in time.',
        name='publish_reserve',
        unit='s',
        bounds=(0.0, 10.0),
    )
    chunk_rate: float = parameter(
        20.0,
        'Largest number of chunks per second that the node publishes of an answer.',
        unit='Hz',
        bounds=(0.1, 1000.0),
    )
    abort_grace_s: float = parameter(
        1.0,
        'The node replaces the worker process if it does not stop a query within this time.',
        name='abort_grace',
        unit='s',
        bounds=(0.05, 60.0),
    )

    @property
    def chunk_period_s(self) -> float:
        """The least time between two chunks of an answer [s]."""
        return 1.0 / self.chunk_rate
