"""The node of a benchmark's asker: asks, receives replies and records them."""

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from builtin_interfaces.msg import Duration, Time
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from benchmark.deadlines.asker import Record, Reply, Result
from benchmark.deadlines.goal_sender import GoalSender
from timebill_ros.core.outcome import MissReason
from timebill_ros.msg import DeadlineMiss, Query, Response, ResponseChunk

# The instrument must not be what loses a message.
_QOS = QoSProfile(
    depth=20000, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.RELIABLE
)
_PATIENCE_S = 5.0
"""A reply that has not come so long after its deadline is not waited for any more."""
_LONGEST_WAIT_S = 60.0
_SETTLE_S = 0.5


class AskerNode(Node):
    """Publishes queries and keeps a record of every reply.

    Arguments:
        asker: who asks.
    """

    def __init__(self, asker: str) -> None:
        super().__init__(f'{asker}_asker')
        self._asker = asker
        self._askers = {asker}
        self._records: dict[str, Record] = {}
        self._open: dict[str, int] = {}
        """The deadlines [ns] of the queries that have no reply."""
        self._awaited: set[str] = set()
        self._changed = threading.Condition()
        self.stray = 0
        self.overheard: Counter[str] = Counter()
        self._queries = self.create_publisher(Query, '/timebill/query', _QOS)
        self._responses = self.create_subscription(
            Response, '/timebill/response', self._on_response, _QOS
        )
        self._misses = self.create_subscription(
            DeadlineMiss, '/timebill/deadline_miss', self._on_miss, _QOS
        )
        self.create_subscription(ResponseChunk, '/timebill/response_chunk', self._on_chunk, _QOS)
        self._goals = GoalSender(self, self._on_result)
        self._setter = self.create_client(
            SetParametersAtomically, '/timebill/set_parameters_atomically'
        )

    def wait_for_node(self) -> None:
        """Wait until queries and replies are matched."""
        while not (
            self._queries.get_subscription_count()
            and self._responses.get_publisher_count()
            and self._misses.get_publisher_count()
            and self._goals.is_ready()
        ):
            time.sleep(0.05)
        # Whether the node's publishers have found us cannot be seen from here. Before they have,
        # a reply comes up to a second late, by repetition.
        time.sleep(_SETTLE_S)

    def publish(self, asks: list[dict[str, Any]]) -> list[Record]:
        """Publish queries, each at its time, those of the same one right after the other."""
        messages = [(ask, self._query(ask)) for ask in asks]
        sizes = Counter(ask['at_s'] for ask in asks)
        start_s, records = time.monotonic(), []
        for ask, message in messages:
            time.sleep(max(0.0, start_s + ask['at_s'] - time.monotonic()))
            records.append(self._publish(ask, message, sizes[ask['at_s']]))
        return records

    def set_parameters(self, values: dict[str, object]) -> str:
        """Set parameters of the node; return why it refuses, '' if it does not."""
        parameters = [Parameter(name, value=value) for name, value in values.items()]
        request = SetParametersAtomically.Request(
            parameters=[parameter.to_parameter_msg() for parameter in parameters]
        )
        if not self._setter.wait_for_service(_PATIENCE_S):
            return 'it has no service to set parameters'
        is_done, future = threading.Event(), self._setter.call_async(request)
        future.add_done_callback(lambda _: is_done.set())
        if not is_done.wait(_PATIENCE_S):
            return 'no answer'
        result = future.result().result
        return '' if result.successful else result.reason or 'without a reason'

    def wait(self, ids: Iterable[str]) -> None:
        """Wait until these queries have a reply each, or will never have one."""
        with self._changed:
            self._awaited = {query_id for query_id in ids if query_id in self._open}
            last_ns = max((self._open[query_id] for query_id in self._awaited), default=0)
            wait_s = max(0.0, (last_ns - time.time_ns()) * 1e-9)
            wait_s = min(wait_s, _LONGEST_WAIT_S) + _PATIENCE_S
            self._changed.wait_for(lambda: not self._awaited, wait_s)

    def wait_for_all(self) -> None:
        """Wait until every query has a reply, or will never have one."""
        self.wait(list(self._open))

    def records(self) -> list[dict[str, object]]:
        """Return all records."""
        with self._changed:
            return [dataclasses.asdict(record) for record in self._records.values()]

    def _publish(self, ask: dict, message: Query, batch_size: int) -> Record:
        sent_ns = time.time_ns()
        stamp_ns = sent_ns - int(ask['age_s'] * 1e9)
        deadline_ns = stamp_ns + int(ask['time_budget_s'] * 1e9)
        message.header.stamp = Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
        record = Record(
            ask['id'], ask['group'], batch_size, sent_ns, deadline_ns, as_goal=ask['as_goal']
        )
        with self._changed:
            self._askers.add(message.asker)
            self._records[record.id] = record
            self._open[record.id] = deadline_ns
        if record.as_goal:
            self._goals.send(message, ask['cancel_after_s'])
        else:
            self._queries.publish(message)
        return record

    def _query(self, ask: dict) -> Query:
        seconds, nanoseconds = divmod(int(ask['time_budget_s'] * 1e9), 10**9)
        return Query(
            asker=ask['asker'] or self._asker,
            id=ask['id'],
            prompt=ask['prompt'],
            time_budget=Duration(sec=seconds, nanosec=nanoseconds),
            max_new_tokens=ask['max_new_tokens'],
            overrun_policy=ask['overrun_policy'],
            context=ask['context'],
        )

    def _on_response(self, message: Response, info: dict) -> None:
        self._on_reply(message, 'ANSWERED', info)
        for message, info in _waiting(self._responses):
            self._on_reply(message, 'ANSWERED', info)

    def _on_miss(self, message: DeadlineMiss, info: dict) -> None:
        self._on_reply(message, MissReason(message.reason).name, info)
        for message, info in _waiting(self._misses):
            self._on_reply(message, MissReason(message.reason).name, info)

    def _on_chunk(self, message: ResponseChunk, info: dict) -> None:
        with self._changed:
            record = self._records.get(message.query_id)
            if record is not None and message.asker in self._askers:
                record.chunks_rise &= message.sequence == record.chunks
                record.chunks += 1
                record.last_chunk_ns = info['source_timestamp']

    def _on_reply(self, message: Response | DeadlineMiss, outcome: str, info: dict) -> None:
        received_ns = time.time_ns()
        stamp = message.header.stamp
        stamp_ns = stamp.sec * 10**9 + stamp.nanosec
        with self._changed:
            record = self._records.get(message.query_id)
            if message.asker not in self._askers:
                self.overheard[message.query_id] += 1
                return
            if record is None:
                self.stray += 1
                return
            record.replies.append(
                Reply(
                    outcome,
                    stamp_ns,
                    info['source_timestamp'],
                    info['received_timestamp'],
                    received_ns,
                    getattr(message, 'detail', ''),
                    getattr(message, 'deadline_met', False),
                    getattr(message, 'finish_reason', 0),
                    message.chunk_count,
                    message.bill.total_time,
                )
            )
            self._settle(record)

    def _on_result(self, query_id: str, result: Result) -> None:
        with self._changed:
            record = self._records[query_id]
            record.results.append(result)
            self._settle(record)

    def _settle(self, record: Record) -> None:
        """Wait no longer for a query that has all that it should have."""
        if record.replies and (record.results or not record.as_goal):
            self._open.pop(record.id, None)
            self._awaited.discard(record.id)
            if not self._awaited:
                self._changed.notify_all()


def _waiting(listener: Subscription) -> Iterator[tuple[Response | DeadlineMiss, Any]]:
    """Yield the messages that are there already.

    The executor takes so long for each that it would lag behind a burst's replies.
    """
    while (taken := listener.handle.take_message(listener.msg_type, False)) is not None:
        yield taken
