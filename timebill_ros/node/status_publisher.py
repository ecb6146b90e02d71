"""What the node publishes of itself, once a second: /diagnostics and ~/statistics."""

from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock
from rclpy.node import Node

import timebill_ros.msg as msg
from timebill_ros.dispatch.dispatcher import Dispatcher
from timebill_ros.dispatch.query_statistics import QueryStatistics
from timebill_ros.node.diagnostics import (
    deadlines_status,
    diagnostic_array,
    estimate_status,
    inference_status,
)
from timebill_ros.node.node_state import NodeState
from timebill_ros.node.remote_status import remote_status
from timebill_ros.node.statistics_message import statistics_message

_PERIOD_S = 1.0


class StatusPublisher:
    """Publishes texts and levels for people, and numbers to draw.

    Arguments:
        node: whose topics they are.
        dispatcher: has the queries.
        statistics: how they have ended.
        state: returns the node's state, now.
        steady: a clock that never stands still.
    """

    def __init__(
        self,
        node: Node,
        dispatcher: Dispatcher,
        statistics: QueryStatistics,
        state: Callable[[], NodeState],
        steady: Clock,
    ) -> None:
        self._node = node
        self._dispatcher = dispatcher
        self._statistics = statistics
        self._state = state
        # Ordinary publishers: lifecycle ones are silent while the node is inactive.
        self._diagnostics = Node.create_publisher(node, DiagnosticArray, '/diagnostics', 10)
        self._numbers = Node.create_publisher(node, msg.Statistics, '~/statistics', 10)
        node.create_timer(_PERIOD_S, self.publish, clock=steady)

    def publish(self) -> None:
        """Publish both messages."""
        name, now = self._node.get_fully_qualified_name(), self._node.get_clock().now().to_msg()
        state, summary = self._state(), self._statistics.summary()
        queue_length, settings = self._dispatcher.queue_length, state.settings
        statuses = [
            inference_status(
                name,
                state.worker,
                state.why_not_serving,
                settings.loading.model,
                state.ready,
                state.restarts,
                state.worker_memory_mb,
                state.prefixes,
            ),
            deadlines_status(name, summary, queue_length, self._dispatcher.is_serving),
            estimate_status(
                name,
                state.estimate,
                summary.estimate_errors,
                settings.planning.max_eviction_ratio,
            ),
            *remote_status(name, settings.remote, state.link),
        ]
        self._diagnostics.publish(diagnostic_array(now, *statuses))
        self._numbers.publish(statistics_message(now, summary, state, queue_length))
