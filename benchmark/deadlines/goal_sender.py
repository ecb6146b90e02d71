"""The goals of a benchmark's asker: sends queries as goals, cancels some, takes the results."""

import threading
import time
from collections.abc import Callable
from typing import Any

from rclpy.action import ActionClient
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import QoSProfile

from benchmark.deadlines.asker import Result
from timebill_ros.action import Generate
from timebill_ros.core.outcome import MissReason
from timebill_ros.msg import Bill, Query

# The instrument must not be what loses a message.
_QOS = QoSProfile(depth=20000)
_UNMATCHED_QOS = QoSProfile(depth=1, deadline=Duration(seconds=1))
"""No publisher of states promises one a second, so none come. Each message of states has all
goals. For hundreds of them rclpy takes milliseconds: the instrument would be what is late."""
_MOST_AT_ONCE = 5
_ACTION = '/timebill/generate'


class GoalSender:
    """Sends goals. Its methods may be called from any thread.

    Arguments:
        node: the asker's.
        on_result: called with a query's id and a result of its goal, in the executor's thread.
    """

    def __init__(self, node: Node, on_result: Callable[[str, Result], None]) -> None:
        self._node = node
        self._on_result = on_result
        self._client = _PromptClient(
            node,
            Generate,
            _ACTION,
            goal_service_qos_profile=_QOS,
            result_service_qos_profile=_QOS,
            cancel_service_qos_profile=_QOS,
            feedback_sub_qos_profile=_QOS,
            status_sub_qos_profile=_UNMATCHED_QOS,
        )

    def is_ready(self) -> bool:
        """Return whether the node's action is there."""
        # ActionClient.server_is_ready() is False without the states.
        return all(
            self._node.count_services(f'{_ACTION}/_action/{name}') > 0
            for name in ('send_goal', 'cancel_goal', 'get_result')
        )

    def send(self, query: Query, cancel_after_s: float) -> None:
        """Send a query as a goal, and return at once.

        Arguments:
            cancel_after_s: when the goal is cancelled [s]; negative: never.
        """
        # In another thread than the executor's, rclpy may lose the response.
        cancel_at_s = time.monotonic() + cancel_after_s if cancel_after_s >= 0 else -1.0
        self._node.executor.create_task(self._send, query, cancel_at_s)

    def _send(self, query: Query, cancel_at_s: float) -> None:
        future = self._client.send_goal_async(Generate.Goal(query=query))
        future.add_done_callback(
            lambda future: self._on_accepted(query.id, future.result(), cancel_at_s)
        )

    def _on_accepted(self, query_id: str, handle: Any, cancel_at_s: float) -> None:
        assert handle.accepted
        handle.get_result_async().add_done_callback(
            lambda future: self._on_result(query_id, _result(future.result()))
        )
        if cancel_at_s >= 0:
            cancel = threading.Timer(
                max(0.0, cancel_at_s - time.monotonic()),
                lambda: self._node.executor.create_task(handle.cancel_goal_async),
            )
            cancel.daemon = True
            cancel.start()


class _PromptClient(ActionClient):
    """Takes some of what has come in one turn of the executor; rclpy's takes one of a kind."""

    async def execute(self, taken_data: Any) -> None:
        await super().execute(taken_data)
        for _ in range(_MOST_AT_ONCE - 1):
            more = self.take_data()
            if not any(more.values()):
                return
            await super().execute(more)


def _result(response: Any) -> Result:
    result = response.result
    outcome = 'ANSWERED' if result.answered else MissReason(result.miss.reason).name
    bill = result.response.bill if result.answered else result.miss.bill
    return Result(response.status, outcome, time.time_ns(), _phase(bill))


def _phase(bill: Bill) -> str:
    if bill.total_time == 0.0:
        return 'waiting'
    return 'decode' if bill.response_tokens else 'prefill'
