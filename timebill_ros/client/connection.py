"""The topics and the service between an asker and the node that answers."""

import contextlib
import time
from collections.abc import Callable

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.task import Future

from timebill_ros.msg import DeadlineMiss, Query, Response, ResponseChunk
from timebill_ros.srv import CancelQuery, PrepareContext

SETTLE_S = 0.5
"""Time for the server's publishers to find our subscriptions, which we cannot see from here.

With 0.2 s, on two busy cores, a first reply was sometimes published before they had found us.
"""


class Connection:
    """Publishes queries and receives replies. Only the callbacks are thread-safe.

    Arguments:
        node: the asker's node; gets a publisher, subscriptions and service clients.
        server: name of the node that answers; its topics can be remapped.
        on_reply: called with each Response and DeadlineMiss of the server, for any asker.
        on_chunk: called with each ResponseChunk, in order.
    """

    def __init__(
        self,
        node: Node,
        server: str,
        on_reply: Callable[[Response | DeadlineMiss], None],
        on_chunk: Callable[[ResponseChunk], None],
    ) -> None:
        self._node = node
        # A group of its own: called one at a time, even while another callback of the node blocks.
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
        self._preparer = node.create_client(
            PrepareContext, f'{server}/prepare', callback_group=MutuallyExclusiveCallbackGroup()
        )
        self._reply_topics = [subscription.topic_name for subscription in self._subscriptions]
        self._matched_at_s: float | None = None
        self.query_topic: str = self._publisher.topic_name

    def is_ready(self) -> bool:
        """Return whether both directions have been connected for SETTLE_S."""
        now_s = time.monotonic()
        if not self._is_matched():
            self._matched_at_s = None
        elif self._matched_at_s is None:
            self._matched_at_s = now_s
        return self._matched_at_s is not None and now_s >= self._matched_at_s + SETTLE_S

    def publish(self, query: Query) -> None:
        """Send a query; it is lost if the asker's node or the context is gone."""
        with contextlib.suppress(RuntimeError):  # rclpy's
            self._publisher.publish(query)

    def cancel(self, asker: str, query_id: str) -> Future | None:
        """Request to cancel a query; None: the service is not there."""
        try:
            if not self._canceller.service_is_ready():
                return None
            return self._canceller.call_async(CancelQuery.Request(asker=asker, id=query_id))
        except RuntimeError:  # rclpy's, when the asker's node or the context is gone
            return None

    def prepare(self, request: PrepareContext.Request) -> Future | None:
        """Request to prepare a context; None: the service is not there."""
        try:
            if not self._preparer.service_is_ready():
                return None
            return self._preparer.call_async(request)
        except RuntimeError:  # rclpy's, when the asker's node or the context is gone
            return None

    def close(self) -> None:
        """Remove the publisher, the subscriptions and the service clients from the node."""
        self._node.destroy_client(self._canceller)
        self._node.destroy_client(self._preparer)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._node.destroy_publisher(self._publisher)

    def _is_matched(self) -> bool:
        try:
            return self._publisher.get_subscription_count() > 0 and all(
                self._node.count_publishers(topic) > 0 for topic in self._reply_topics
            )
        except RuntimeError:  # rclpy's, when the asker's node or the context is gone
            return False
