"""The topics, and the service, between a planner's node and the node that answers."""

import contextlib
import time
from collections.abc import Callable

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.task import Future

from timebill_ros.msg import DeadlineMiss, Query, Response, ResponseChunk
from timebill_ros.srv import CancelQuery

SETTLE_S = 0.5
"""Whether the server's publishers have found us cannot be seen from here: they get this time.

At 0.2 s, on two busy cores, a first reply was now and then published before they had.
"""


class Connection:
    """Publishes queries and hears replies. Not thread-safe, but for the callbacks.

    Arguments:
        node: the planner's; the publisher, subscriptions and a service's client are added to it.
        server: name of the node that answers; names are remapped as any.
        on_reply: called with each Response and DeadlineMiss of the server, whoever asked.
        on_chunk: called with each ResponseChunk, in their order.
    """

    def __init__(
        self,
        node: Node,
        server: str,
        on_reply: Callable[[Response | DeadlineMiss], None],
        on_chunk: Callable[[ResponseChunk], None],
    ) -> None:
        self._node = node
        # A group of its own: heard also while another callback of the node blocks, one at a time.
        group = MutuallyExclusiveCallbackGroup()
        self._subscriptions = [
            node.create_subscription(
                message_type,
                f'{server}/{topic}',
                callback,
                QoSProfile(depth=1000),
                callback_group=group,
            )
            for message_type, topic, callback in (
                (Response, 'response', on_reply),
                (DeadlineMiss, 'deadline_miss', on_reply),
                (ResponseChunk, 'response_chunk', on_chunk),
            )
        ]
        self._publisher = node.create_publisher(Query, f'{server}/query', QoSProfile(depth=1000))
        self._canceller = node.create_client(
            CancelQuery, f'{server}/cancel', callback_group=MutuallyExclusiveCallbackGroup()
        )
        self._reply_topics = [subscription.topic_name for subscription in self._subscriptions]
        self._matched_at_s: float | None = None
        self.query_topic: str = self._publisher.topic_name

    def is_ready(self) -> bool:
        """Return whether both directions have been matched for long enough to ask."""
        now_s = time.monotonic()
        if not self._is_matched():
            self._matched_at_s = None
        elif self._matched_at_s is None:
            self._matched_at_s = now_s
        return self._matched_at_s is not None and now_s >= self._matched_at_s + SETTLE_S

    def publish(self, query: Query) -> None:
        """Send a query; it is lost if the planner's node or the context is gone."""
        with contextlib.suppress(RuntimeError):  # rclpy's
            self._publisher.publish(query)

    def cancel(self, asker: str, query_id: str) -> Future | None:
        """Request that a query be withdrawn; None: there is no service to ask."""
        try:
            if not self._canceller.service_is_ready():
                return None
            return self._canceller.call_async(CancelQuery.Request(asker=asker, id=query_id))
        except RuntimeError:  # rclpy's, when the planner's node or the context is gone
            return None

    def close(self) -> None:
        """Take all that was added off the node."""
        self._node.destroy_client(self._canceller)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._node.destroy_publisher(self._publisher)

    def _is_matched(self) -> bool:
        try:
            return self._publisher.get_subscription_count() > 0 and all(
                self._node.count_publishers(topic) > 0 for topic in self._reply_topics
            )
        except RuntimeError:  # rclpy's, when the planner's node or the context is gone
            return False
