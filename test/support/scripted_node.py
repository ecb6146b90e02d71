"""The real node in this process, on a thread of its own; its worker is scripted."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter

from support.asker import Asker
from support.fake_worker_client import FakeWorkerClient
from support.ros_domain import next_domain
from support.scripted_worker_client import ScriptedWorkerClient
from timebill_ros.node import supervisor
from timebill_ros.node.timebill_node import TimebillNode
from timebill_ros.worker.protocol import Ready
from timebill_ros.worker.worker_client import WorkerState

_READY = Ready('model', 'cpu', 'float32', 100, 16, 'none', 'transformers', 'none')


class ScriptedNode(NamedTuple):
    """A node that serves queries, and who asks it."""

    node: TimebillNode
    domain: int
    asker: Asker
    executor: SingleThreadedExecutor


@contextmanager
def scripted_node(**values: Any) -> Iterator[ScriptedNode]:
    """Run the node; end it afterwards.

    Arguments:
        values: of its parameters.
    """
    domain, context = next_domain(), Context()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(supervisor, 'WorkerClient', ScriptedWorkerClient)
        FakeWorkerClient.made = []
        rclpy.init(context=context, domain_id=domain)
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        node = TimebillNode(context=context, parameter_overrides=overrides)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        spinning = threading.Thread(target=executor.spin, daemon=True)
        spinning.start()
        (worker,) = FakeWorkerClient.made
        worker.state = WorkerState.READY
        worker.listener.on_worker_ready(_READY)
        asker = Asker(domain)
        asker.wait_until_serving()
        yield ScriptedNode(node, domain, asker, executor)
        asker.close()
        node.close()
        executor.shutdown(timeout_sec=1.0)
        spinning.join(timeout=2.0)
        node.destroy_node()
        rclpy.shutdown(context=context)
