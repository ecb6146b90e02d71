"""Replies as ROS messages, published and counted."""

from builtin_interfaces.msg import Time
from rclpy.clock import Clock
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

import timebill_ros.msg as msg
from timebill_ros.core.bill import Bill
from timebill_ros.core.outcome import Answer, Outcome
from timebill_ros.core.query import Origin
from timebill_ros.dispatch.query_statistics import QueryStatistics
from timebill_ros.node import messages
from timebill_ros.node.generate_action import GenerateAction
from timebill_ros.node.query_log import QueryLog

REPLY_QOS = QoSProfile(
    depth=100, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.RELIABLE
)
_SUMMARY_PERIOD_S = 60.0


class ReplyPublisher:
    """Publishes what the dispatcher says, under the dispatcher's lock.

    Arguments:
        node: whose topics and clock they are.
        goals: told of what is published of their queries.
        statistics: told of every terminal reply.
        steady: a clock that never stands still, for the log's summaries.
    """

    def __init__(
        self, node: Node, goals: GenerateAction, statistics: QueryStatistics, steady: Clock
    ) -> None:
        self._clock = node.get_clock()
        self._goals = goals
        self._statistics = statistics
        self._log = QueryLog(node.get_logger())
        node.create_timer(_SUMMARY_PERIOD_S, self._log.summarise, clock=steady)

        # Ordinary publishers: lifecycle ones are silent while the node is inactive, and NOT_READY
        # must go out.
        def publisher(message_type: type, topic: str) -> Publisher:
            return Node.create_publisher(node, message_type, topic, REPLY_QOS)

        self._chunks = publisher(msg.ResponseChunk, '~/response_chunk')
        self._responses = publisher(msg.Response, '~/response')
        self._misses = publisher(msg.DeadlineMiss, '~/deadline_miss')

    def publish_chunk(self, origin: Origin, sequence: int, text: str, bill: Bill) -> None:
        """Publish a piece of an answer."""
        self._chunks.publish(messages.chunk_message(origin, self._now(), sequence, text))
        if origin.goal:
            self._goals.text_added(origin.goal, text, bill)

    def publish_outcome(
        self, origin: Origin, outcome: Outcome, bill: Bill, chunk_count: int
    ) -> None:
        """Publish the terminal reply."""
        message = messages.outcome_message(origin, self._now(), outcome, bill, chunk_count)
        (self._responses if isinstance(outcome, Answer) else self._misses).publish(message)
        if origin.goal:
            self._goals.has_ended(origin.goal, message)
        self._statistics.count(outcome, bill)
        self._log.ended(origin, outcome, bill)

    def wait_until_received(self, timeout_s: float) -> None:
        """Wait until the subscribers have the terminal replies, or a time-out [s] passes."""
        for publisher in (self._responses, self._misses):
            publisher.wait_for_all_acked(Duration(seconds=timeout_s))

    def _now(self) -> Time:
        return self._clock.now().to_msg()
