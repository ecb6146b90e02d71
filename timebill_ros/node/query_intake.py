"""Where queries come in, as messages: each becomes a query of the dispatcher, or is refused."""

import itertools
import time
from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

import timebill_ros.msg as msg
from timebill_ros.core.query import Origin
from timebill_ros.dispatch.dispatcher import Dispatcher
from timebill_ros.node import messages
from timebill_ros.node.settings import NodeSettings

QUERY_QOS = QoSProfile(
    depth=1000, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.RELIABLE
)


class QueryIntake:
    """Takes the queries of the topic ~/query, and those of goals.

    Arguments:
        node: whose topic and clock they are.
        dispatcher: serves the queries.
        settings: returns the node's parameters.
    """

    def __init__(
        self, node: Node, dispatcher: Dispatcher, settings: Callable[[], NodeSettings]
    ) -> None:
        self._clock = node.get_clock()
        self._dispatcher = dispatcher
        self._settings = settings
        self._assigned_ids = itertools.count(1)
        node.create_subscription(msg.Query, '~/query', self._on_query, QUERY_QOS)

    def take(self, message: msg.Query, origin: Origin) -> None:
        """Have a query served; it is replied to in any case."""
        arrival = messages.Arrival(self._clock.now().nanoseconds * 1e-9, time.monotonic)
        try:
            query = messages.query_of(message, origin, self._settings(), arrival)
        except messages.RefusedError as refused:
            self._dispatcher.refuse(origin, refused.miss)
            return
        self._dispatcher.submit(query)

    def _on_query(self, message: msg.Query) -> None:
        self.take(message, messages.origin_of(message, f'auto-{next(self._assigned_ids)}'))
