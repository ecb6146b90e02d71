"""The topics and the service between an asker and the node that answers."""

import contextlib
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.client import Client
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.task import Future

from timebill_ros.client.handshake import Handshake
from timebill_ros.msg import DeadlineMiss, Query, Response, ResponseChunk
from timebill_ros.srv import CancelQuery, PrepareContext

_NO_QUERY = CancelQuery.Request(id='is the node connected?')
"""Withdraws nothing: the empty asker is never asked for."""


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
                (ResponseChunk, 'response_chunk', on_chunk),
                (Response, 'response', on_reply),
                (DeadlineMiss, 'deadline_miss', on_reply),
            )
        ]
        self._publisher = node.create_publisher(Query, f'{server}/query', QoSProfile(depth=1000))
        # After the subscriptions: see Handshake.
        self._canceller = node.create_client(
            CancelQuery, f'{server}/cancel', callback_group=MutuallyExclusiveCallbackGroup()
        )
        self._preparer = node.create_client(
            PrepareContext, f'{server}/prepare', callback_group=MutuallyExclusiveCallbackGroup()
        )
        self._reply_topic = self._subscriptions[-1].topic_name
        self._handshake = Handshake(
            lambda: _called(self._canceller, _NO_QUERY), self._canceller.remove_pending_request
        )
        self.query_topic: str = self._publisher.topic_name

    def is_ready(self) -> bool:
        """Return whether the node hears our queries, and we its replies."""
        return self._handshake.is_done(self._server())

    def why_not_ready(self) -> str:
        """Return a sentence for whoever waited in vain."""
        if self._server() is None:
            return f'no node was there to answer {self.query_topic}'
        return (
            f'the node that answers {self.query_topic} did not respond to a request; is the '
            "asker's node spun?"
        )

    def publish(self, query: Query) -> None:
        """Send a query; it is lost if the asker's node or the context is gone."""
        with contextlib.suppress(RuntimeError):  # rclpy's
            self._publisher.publish(query)

    def cancel(self, asker: str, query_id: str) -> Future | None:
        """Request to cancel a query; None: the service is not there."""
        return _called(self._canceller, CancelQuery.Request(asker=asker, id=query_id))

    def prepare(self, request: PrepareContext.Request) -> Future | None:
        """Request to prepare a context; None: the service is not there."""
        return _called(self._preparer, request)

    def close(self) -> None:
        """Remove the publisher, the subscriptions and the service clients from the node."""
        self._node.destroy_client(self._canceller)
        self._node.destroy_client(self._preparer)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._node.destroy_publisher(self._publisher)

    def _server(self) -> frozenset[bytes] | None:
        """Return what tells the node that is there from another one; None: none is connected.

        Others may listen to queries, such as a recorder. The node also publishes replies.
        """
        try:
            if not self._publisher.get_subscription_count():
                return None
            listening = self._node.get_subscriptions_info_by_topic(self.query_topic)
            replying = self._node.get_publishers_info_by_topic(self._reply_topic)
        except RuntimeError:  # rclpy's, when the asker's node or the context is gone
            return None
        names = {(end.node_namespace, end.node_name) for end in listening}
        both = [end for end in replying if (end.node_namespace, end.node_name) in names]
        return frozenset(bytes(end.endpoint_gid) for end in both) or None


def _called(client: Client, request: Any) -> Future | None:
    try:
        return client.call_async(request) if client.service_is_ready() else None
    except RuntimeError:  # rclpy's, when the asker's node or the context is gone
        return None
