"""The monitor's ROS node: an ordinary subscriber."""

import os
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

from timebill_ros.monitor.watch import Watch
from timebill_ros.msg import DeadlineMiss, Response

_QOS = QoSProfile(
    depth=100, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.RELIABLE
)


class MonitorNode(Node):
    """Subscribes to the replies of a node, and to /diagnostics.

    Arguments:
        watched: full name of the node, such as /timebill.
        rclpy_arguments: passed on to rclpy's node, for tests.
    """

    def __init__(self, watched: str, **rclpy_arguments: Any) -> None:
        # Nobody sets parameters of a monitor, and it should not slow down the graph.
        super().__init__('timebill_monitor', start_parameter_services=False, **rclpy_arguments)
        self.watch = Watch(watched)
        self.create_subscription(Response, f'{watched}/response', self.watch.on_response, _QOS)
        self.create_subscription(
            DeadlineMiss, f'{watched}/deadline_miss', self.watch.on_miss, _QOS
        )
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)

    @property
    def is_there(self) -> bool:
        """Whether the node is there."""
        return bool(self.count_publishers(f'{self.watch.node}/deadline_miss'))

    def trouble(self) -> str:
        """Return a sentence if the node is not there, or is silent; else ''."""
        if not self.is_there:
            domain = os.environ.get('ROS_DOMAIN_ID', '0')
            return (
                f'No node {self.watch.node} is there (ROS_DOMAIN_ID {domain}). Start it, or name '
                'another one with --node.'
            )
        silent_s = self.watch.silent_for_s(time.monotonic())
        if silent_s:
            return f'The node says nothing on /diagnostics for {silent_s:.0f} s.'
        return '' if self.watch.is_heard else 'Waiting for the node to say how it is.'

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.watch.on_diagnostics(message, time.monotonic())
