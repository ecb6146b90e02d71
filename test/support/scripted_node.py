"""The real node in this process, on a thread of its own; its worker is scripted."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from support.fake_worker_client import FakeWorkerClient
from support.node_in_process import NodeInProcess, node_in_process
from support.scripted_worker_client import ScriptedWorkerClient
from timebill_ros.node import supervisor
from timebill_ros.worker.protocol import Ready
from timebill_ros.worker.worker_client import WorkerState

_READY = Ready('model', 'cpu', 'float32', 100, 16, 'none', 'transformers', 'none')


@contextmanager
def scripted_node(**values: Any) -> Iterator[NodeInProcess]:
    """Run the node; end it afterwards.

    Arguments:
        values: of its parameters.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(supervisor, 'WorkerClient', ScriptedWorkerClient)
        FakeWorkerClient.made = []
        with node_in_process(**values) as running:
            running.spinning.start()
            (worker,) = FakeWorkerClient.made
            worker.state = WorkerState.READY
            worker.listener.on_worker_ready(_READY)
            running.asker.wait_until_serving()
            yield running
