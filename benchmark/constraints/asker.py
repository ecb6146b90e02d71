"""Asks the node over its topics, one query at a time, and notes when the reply came."""

import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import rclpy
from builtin_interfaces.msg import Duration, Time
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile

from timebill_ros.core.outcome import MissReason
from timebill_ros.msg import DeadlineMiss, Query, Response

_PATIENCE_S = 5.0
_SETTLE_S = 0.5


@dataclass(frozen=True)
class Asked:
    """A query that was asked.

    Arguments:
        reply: None: none came until some seconds after the deadline.
        deadline_ns, received_ns: on the system's clock [ns].
    """

    reply: Response | DeadlineMiss | None
    deadline_ns: int
    received_ns: int = 0

    @property
    def is_on_time(self) -> bool:
        """Whether the asker had the reply before the deadline."""
        return self.reply is not None and self.received_ns <= self.deadline_ns

    @property
    def is_answered(self) -> bool:
        """Whether it is a Response."""
        return isinstance(self.reply, Response)

    @property
    def outcome(self) -> str:
        """How it ended: the finish reason, the reason of the miss, or LOST."""
        if self.reply is None:
            return 'LOST'
        if self.is_answered:
            names = ('EOS', 'LENGTH', 'REPETITION', 'DEADLINE', 'CLOSED')
            return next(n for n in names if getattr(Response, n) == self.reply.finish_reason)
        return MissReason(self.reply.reason).name


class Asker:
    """An asker of the node `timebill`. Use as a context manager.

    Arguments:
        domain: ROS domain of the node.
    """

    def __init__(self, domain: int) -> None:
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = Node('constraints_benchmark', context=self._context)
        qos = QoSProfile(depth=100)
        self._publisher = self._node.create_publisher(Query, '/timebill/query', qos)
        self._replies: dict[str, tuple[Any, int]] = {}
        self._changed = threading.Condition()
        self._listeners = [
            self._node.create_subscription(kind, f'/timebill/{topic}', self._hear, qos)
            for kind, topic in ((Response, 'response'), (DeadlineMiss, 'deadline_miss'))
        ]
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._spinning = threading.Thread(target=self._executor.spin, daemon=True)
        self._spinning.start()
        self._number = 0

    def __enter__(self) -> 'Asker':
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._executor.shutdown(timeout_sec=1.0)
        self._spinning.join(timeout=2.0)
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)

    def wait_until_serving(self, timeout_s: float = 180.0) -> None:
        """Ask until the node answers.

        Raises:
            RuntimeError: it does not in time.
        """
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            if self._publisher.get_subscription_count() and all(
                listener.get_publisher_count() for listener in self._listeners
            ):
                time.sleep(_SETTLE_S)  # the other direction's matching cannot be seen from here
                if self.ask(Query(prompt='Hello.', max_new_tokens=4), 10.0).is_answered:
                    return
            time.sleep(0.2)
        raise RuntimeError(f'the node serves no query within {timeout_s} s')

    def ask(self, query: Query, budget_s: float) -> Asked:
        """Ask, and wait for the reply."""
        return self.wait(*self.send(query, budget_s))

    def send(self, query: Query, budget_s: float) -> tuple[str, int]:
        """Publish a query; return its id and its deadline [ns]."""
        self._number += 1
        query.asker, query.id = 'constraints_benchmark', str(self._number)
        budget_ns, stamp_ns = round(budget_s * 1e9), time.time_ns()
        query.time_budget = Duration(sec=budget_ns // 10**9, nanosec=budget_ns % 10**9)
        query.header.stamp = Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
        self._publisher.publish(query)
        return query.id, stamp_ns + budget_ns

    def has_reply(self, query_id: str, within_s: float) -> bool:
        """Return whether the reply comes within some time."""
        with self._changed:
            return self._changed.wait_for(lambda: query_id in self._replies, within_s)

    def wait(self, query_id: str, deadline_ns: int) -> Asked:
        """Wait for the reply until some seconds after the deadline."""
        left_s = (deadline_ns - time.time_ns()) * 1e-9
        if not self.has_reply(query_id, max(0.0, left_s) + _PATIENCE_S):
            return Asked(None, deadline_ns)
        reply, received_ns = self._replies.pop(query_id)
        return Asked(reply, deadline_ns, received_ns)

    def _hear(self, reply: Response | DeadlineMiss) -> None:
        received_ns = time.time_ns()
        with self._changed:
            self._replies[reply.query_id] = reply, received_ns
            self._changed.notify_all()
