"""A stand-in for the node `timebill`: its topics, with replies as a test wants them."""

import threading
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile

import timebill_ros.msg as msg
import timebill_ros.srv as srv


class FakeTimebillNode:
    """Calls a test's function with each query, in a thread of its own.

    Arguments:
        domain: ROS domain.
        on_query: called with the node and a query; replies, or does not.
        has_cancel: whether it has the service that withdraws queries.
        finds_nothing_before: so many requests to withdraw a query come before the query.
    """

    def __init__(
        self,
        domain: int,
        on_query: Callable[['FakeTimebillNode', msg.Query], None],
        has_cancel: bool = True,
        finds_nothing_before: int = 0,
    ) -> None:
        self.queries: list[msg.Query] = []
        self.cancelled: list[tuple[str, str]] = []
        self.greeted = 0
        self._finds_nothing_before = finds_nothing_before
        self._on_query = on_query
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = Node('timebill', context=self._context)
        qos = QoSProfile(depth=1000)
        self._publishers = {
            message_type: self.node.create_publisher(message_type, topic, qos)
            for message_type, topic in (
                (msg.Response, '~/response'),
                (msg.DeadlineMiss, '~/deadline_miss'),
                (msg.ResponseChunk, '~/response_chunk'),
            )
        }
        self.node.create_subscription(msg.Query, '~/query', self._take, qos)
        if has_cancel:
            self.node.create_service(srv.CancelQuery, '~/cancel', self._cancel)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._spinning = threading.Thread(target=self._executor.spin, daemon=True)
        self._spinning.start()

    def publish(self, message_type: Any, query: msg.Query, **fields: Any) -> None:
        """Publish a message that echoes a query."""
        echo = {'asker': query.asker, 'query_id': query.id, 'query_stamp': query.header.stamp}
        self._publishers[message_type].publish(message_type(**echo, **fields))

    def answer(self, query: msg.Query) -> None:
        """Answer a query with its own prompt."""
        self.publish(msg.Response, query, text=query.prompt, deadline_met=True)

    def close(self) -> None:
        """Be gone; what has not been replied to never will be."""
        self._executor.shutdown(timeout_sec=1.0)
        self._spinning.join(timeout=2.0)
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)

    def _take(self, query: msg.Query) -> None:
        self.queries.append(query)
        self._on_query(self, query)

    def _cancel(
        self, request: srv.CancelQuery.Request, response: srv.CancelQuery.Response
    ) -> srv.CancelQuery.Response:
        if not request.asker:
            self.greeted += 1
            return response
        self.cancelled.append((request.asker, request.id))
        found = [query for query in self.queries if query.id == request.id]
        response.success = len(self.cancelled) > self._finds_nothing_before and bool(found)
        if response.success:
            reason = msg.DeadlineMiss.CANCELLED
            self.publish(msg.DeadlineMiss, found[0], reason=reason, detail='on request')
        return response
