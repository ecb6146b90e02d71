"""Asks the node one query after the other, and keeps all that comes back."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import rclpy
from builtin_interfaces.msg import Duration
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile

from timebill_ros.core.outcome import MissReason
from timebill_ros.msg import DeadlineMiss, Query, Response

_QOS = QoSProfile(depth=1000)
_PATIENCE_S = 5.0
_SECOND_REPLY_S = 0.05


@dataclass
class Asked:
    """A query and its replies.

    Arguments:
        deadline_s: its deadline by the machine's clock [s].
        replies: each with when the node stamped it, by the same clock [s].
    """

    deadline_s: float
    replies: list[tuple[Any, float]] = field(default_factory=list)

    @property
    def is_violation(self) -> bool:
        """Whether there is no reply, more than one, or a late one."""
        return len(self.replies) != 1 or self.replies[0][1] > self.deadline_s

    @property
    def late_s(self) -> float:
        """By how much its reply is late [s]; infinite: there is none."""
        return max(0.0, self.replies[0][1] - self.deadline_s) if self.replies else math.inf

    @property
    def answered_by(self) -> str:
        """Which engine answered: 'local' or 'remote'; 'nobody': it was missed."""
        reply = self.replies[0][0] if self.replies else None
        return reply.backend if isinstance(reply, Response) else 'nobody'

    @property
    def outcome(self) -> str:
        """How it ended."""
        reply = self.replies[0][0] if self.replies else None
        if isinstance(reply, Response):
            return 'ANSWERED'
        return 'LOST' if reply is None else MissReason(reply.reason).name


class Asker:
    """An asker in this process; see `running_asker`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._asked: dict[str, Asked] = {}
        self._changed = threading.Condition()
        self._queries = node.create_publisher(Query, '/timebill/query', _QOS)
        node.create_subscription(Response, '/timebill/response', self._on_reply, _QOS)
        node.create_subscription(DeadlineMiss, '/timebill/deadline_miss', self._on_reply, _QOS)
        self._setter = node.create_client(
            SetParametersAtomically, '/timebill/set_parameters_atomically'
        )

    def ask(self, prompt: str, budget_s: float, **fields: Any) -> Asked:
        """Ask a query; return when its reply is there, or should have been long ago."""
        query = Query(asker='benchmark', id=str(len(self._asked)), prompt=prompt, **fields)
        seconds, nanoseconds = divmod(round(budget_s * 1e9), 10**9)
        query.time_budget = Duration(sec=seconds, nanosec=nanoseconds)
        stamp = self._node.get_clock().now()
        query.header.stamp = stamp.to_msg()
        asked = self._asked[query.id] = Asked(stamp.nanoseconds * 1e-9 + budget_s)
        self._queries.publish(query)
        with self._changed:
            self._changed.wait_for(lambda: asked.replies, budget_s + _PATIENCE_S)
        time.sleep(_SECOND_REPLY_S)
        return asked

    def wait_until_served(self, prompt: str) -> None:
        """Ask until the node's own model answers."""
        while self.ask(prompt, 30.0, max_new_tokens=4, remote_policy=Query.OFF).outcome not in (
            'ANSWERED',
        ):
            time.sleep(0.5)

    def set_parameters(self, **values: Any) -> None:
        """Set parameters of the node, which must accept them."""
        request = SetParametersAtomically.Request(
            parameters=[Parameter(name, value=v).to_parameter_msg() for name, v in values.items()]
        )
        done, future = threading.Event(), self._setter.call_async(request)
        future.add_done_callback(lambda _: done.set())
        if not done.wait(_PATIENCE_S) or not future.result().result.successful:
            raise RuntimeError(f'the node does not take {values}')

    def _on_reply(self, reply: Any) -> None:
        stamp = reply.header.stamp
        with self._changed:
            asked = self._asked[reply.query_id]
            asked.replies.append((reply, stamp.sec + stamp.nanosec * 1e-9))
            self._changed.notify_all()


@contextmanager
def running_asker() -> Iterator[Asker]:
    """Run an asker in the ROS domain of this process's environment."""
    rclpy.init()
    node = Node('benchmark_asker')
    asker = Asker(node)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    spinning = threading.Thread(target=executor.spin, daemon=True)
    spinning.start()
    try:
        yield asker
    finally:
        executor.shutdown(timeout_sec=1.0)
        spinning.join(timeout=2.0)
        node.destroy_node()
        rclpy.shutdown()
