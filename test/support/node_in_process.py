"""The real node in the test's own process."""

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter

from support.asker import Asker
from support.ros_domain import next_domain
from timebill_ros.node.timebill_node import TimebillNode


@dataclass(frozen=True)
class NodeInProcess:
    """A node, and who asks it.

    Arguments:
        spinning: the executor's thread; start it.
    """

    node: TimebillNode
    domain: int
    asker: Asker
    executor: SingleThreadedExecutor
    spinning: threading.Thread


@contextlib.contextmanager
def node_in_process(**values: Any) -> Iterator[NodeInProcess]:
    """Make a node in a ROS domain of its own; end it afterwards.

    Arguments:
        values: of its parameters.
    """
    domain, context = next_domain(), Context()
    rclpy.init(context=context, domain_id=domain)
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    node = TimebillNode(context=context, parameter_overrides=overrides)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    spinning = threading.Thread(target=executor.spin, daemon=True)
    asker = Asker(domain)
    try:
        yield NodeInProcess(node, domain, asker, executor, spinning)
    finally:
        asker.close()
        node.close()
        executor.shutdown(timeout_sec=1.0)
        if spinning.ident is not None:
            spinning.join(timeout=2.0)
        node.destroy_node()
        rclpy.shutdown(context=context)


@contextlib.contextmanager
def built_in_node(cache: Path, profile_time_s: float) -> Iterator[NodeInProcess]:
    """Make a node that loads the built-in model in its real worker.

    Arguments:
        cache: of own_cache().
        profile_time_s: how long the time model is measured, once for a cache [s].
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('XDG_CACHE_HOME', str(cache))
        with node_in_process(profile_time=profile_time_s) as running:
            yield running


def own_cache(folder: Path) -> Path:
    """Return a cache with the user's converted models, and no time models.

    Those that tests measure are measured too briefly for the user's.
    """
    users = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    models = users / 'timebill_ros' / 'models'
    models.mkdir(parents=True, exist_ok=True)
    (folder / 'timebill_ros').mkdir()
    (folder / 'timebill_ros' / 'models').symlink_to(models)
    return folder
