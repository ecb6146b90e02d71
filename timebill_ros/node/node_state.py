"""What there is to tell of the node at one moment, besides its queries."""

from dataclasses import dataclass

from timebill_ros.core.link_model import LinkReport
from timebill_ros.node.settings import NodeSettings
from timebill_ros.worker.protocol import Estimate, PrefixesHeld, Ready
from timebill_ros.worker.worker_client import WorkerState


@dataclass(frozen=True)
class NodeState:
    """The node at one moment.

    Arguments:
        worker: where the worker process stands.
        why_not_serving: why queries are not served, a sentence; '' if they are.
        ready: what the worker said when the model was loaded; None before.
        estimate: as the worker told it last.
        prefixes: what it holds of prompts that were read.
        restarts: how often the worker has been replaced.
        worker_memory_mb: its resident memory [MB]; 0: there is no worker.
        link: where the link to a remote engine stands, and its last fault; None: there is none.
    """

    settings: NodeSettings
    worker: WorkerState
    why_not_serving: str
    ready: Ready | None
    estimate: Estimate
    prefixes: PrefixesHeld
    restarts: int
    worker_memory_mb: float
    link: LinkReport | None
