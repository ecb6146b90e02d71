"""The process behind planner.py: an ordinary rclpy node that asks and listens.

One JSON command a line on standard input, one JSON answer a line on standard output.
"""

import contextlib
import dataclasses
import gc
import json
import sys
import threading
import time
from collections.abc import Iterable, Iterator

import rclpy
from builtin_interfaces.msg import Duration, Time
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from timebill_ros.benchmark.planner import Record, Reply
from timebill_ros.core.outcome import MissReason
from timebill_ros.msg import DeadlineMiss, Query, Response

_ASKER = 'benchmark'
# The instrument must not be what loses a message.
_QOS = QoSProfile(
    depth=20000, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.RELIABLE
)
_PATIENCE_S = 5.0
"""A reply that has not come so long after its deadline is not waited for any more."""
_LONGEST_WAIT_S = 60.0
_SWITCH_INTERVAL_S = 0.0005
"""Of Python's threads: while one publishes a burst, the other receives."""


class PlannerNode(Node):
    """Publishes queries and keeps a record of every reply."""

    def __init__(self) -> None:
        super().__init__('benchmark_planner')
        self._records: dict[str, Record] = {}
        self._open: dict[str, int] = {}
        """The deadlines [ns] of the queries that have no reply."""
        self._awaited: set[str] = set()
        self._changed = threading.Condition()
        self.stray = 0
        self._queries = self.create_publisher(Query, '/timebill/query', _QOS)
        self._responses = self.create_subscription(
            Response, '/timebill/response', self._on_response, _QOS
        )
        self._misses = self.create_subscription(
            DeadlineMiss, '/timebill/deadline_miss', self._on_miss, _QOS
        )

    def wait_for_node(self) -> None:
        """Wait until queries and replies are matched."""
        while not (
            self._queries.get_subscription_count()
            and self._responses.get_publisher_count()
            and self._misses.get_publisher_count()
        ):
            time.sleep(0.05)

    def publish(self, asks: list[dict[str, object]]) -> list[Record]:
        """Publish queries one right after the other."""
        messages = [(ask, _query(ask)) for ask in asks]
        return [self._publish(ask, message, len(asks)) for ask, message in messages]

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
        record = Record(ask['id'], ask['group'], batch_size, sent_ns, deadline_ns)
        with self._changed:
            self._records[record.id] = record
            self._open[record.id] = deadline_ns
        self._queries.publish(message)
        return record

    def _on_response(self, message: Response, info: dict) -> None:
        self._on_reply(message, 'ANSWERED', info)
        for message, info in _waiting(self._responses):
            self._on_reply(message, 'ANSWERED', info)

    def _on_miss(self, message: DeadlineMiss, info: dict) -> None:
        self._on_reply(message, MissReason(message.reason).name, info)
        for message, info in _waiting(self._misses):
            self._on_reply(message, MissReason(message.reason).name, info)

    def _on_reply(self, message: Response | DeadlineMiss, outcome: str, info: dict) -> None:
        received_ns = time.time_ns()
        stamp = message.header.stamp
        stamp_ns = stamp.sec * 10**9 + stamp.nanosec
        with self._changed:
            record = self._records.get(message.query_id)
            if record is None or message.asker != _ASKER:
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
                )
            )
            self._open.pop(record.id, None)
            self._awaited.discard(record.id)
            if not self._awaited:
                self._changed.notify_all()


def _waiting(listener: Subscription) -> Iterator[tuple[Response | DeadlineMiss, dict]]:
    """Yield the messages that are there already.

    The executor takes so long for each that it would lag behind a burst's replies.
    """
    while (taken := listener.handle.take_message(listener.msg_type, False)) is not None:
        yield taken


def main() -> None:
    """Obey until standard input ends."""
    rclpy.init()
    node = PlannerNode()
    threading.Thread(target=_spin, args=(node,), daemon=True).start()
    node.wait_for_node()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.disable()  # a collection here would look like a late reply
    for line in sys.stdin:
        print(json.dumps(_obey(node, json.loads(line))), flush=True)
    rclpy.shutdown()


def _obey(node: PlannerNode, command: dict) -> object:
    if 'finish' in command:
        node.wait_for_all()
        time.sleep(2.0)  # for a second reply to a query
        return {'records': node.records(), 'stray': node.stray}
    if 'wait_for_all' in command:
        node.wait_for_all()
        return None
    records = node.publish(command['asks'])
    if command['wait']:
        node.wait(record.id for record in records)
    return [record.replies[0].outcome if record.replies else '' for record in records]


def _query(ask: dict) -> Query:
    seconds, nanoseconds = divmod(int(ask['time_budget_s'] * 1e9), 10**9)
    return Query(
        asker=_ASKER,
        id=ask['id'],
        prompt=ask['prompt'],
        time_budget=Duration(sec=seconds, nanosec=nanoseconds),
        max_new_tokens=ask['max_new_tokens'],
        overrun_policy=ask['overrun_policy'],
    )


def _spin(node: PlannerNode) -> None:
    with contextlib.suppress(ExternalShutdownException):
        rclpy.spin(node)


if __name__ == '__main__':
    main()
