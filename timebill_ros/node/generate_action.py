"""The action ~/generate: its goals are queries, like those of ~/query."""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.action import CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.task import Future

import timebill_ros.msg as msg
from timebill_ros.action import Generate
from timebill_ros.core.bill import Bill
from timebill_ros.core.query import Origin, QueryKey
from timebill_ros.node import messages
from timebill_ros.node.prompt_action_server import PromptActionServer

_SERVICE_QOS = QoSProfile(depth=1000)
"""As for the topic ~/query: with rclpy's depth of 10, most goals of a burst would be lost."""
_FEEDBACK_QOS = QoSProfile(depth=100)
_RESULT_KEPT_S = 10
_ROUNDS = 3
"""The executor takes a reply in one round, ends its goal in the second, and sends its result."""


@dataclass
class _Goal:
    """A goal that has no result yet.

    Arguments:
        ended: a Future of its terminal reply.
        text: the answer so far.
        is_executing: its coroutine has begun.
        has_ended: its query has its terminal reply.
    """

    handle: ServerGoalHandle
    key: QueryKey
    ended: Any
    text: str = ''
    is_executing: bool = False
    has_ended: bool = False


class GenerateAction:
    """Turns goals into queries, and the replies to these into feedback and results.

    A goal is *accepted* while its query waits or its prompt is read. From the first text on it is
    *executing*: a coroutine awaits the reply. The executor goes through all coroutines whenever
    it wakes, so a waiting goal has none.

    The dispatcher's threads call text_added() and has_ended(), under its lock. Everything else
    happens in the executor's thread.

    Arguments:
        node: whose action it is.
        take: has a query served; it may be replied to before this returns.
        cancel: ends a query.
    """

    def __init__(
        self,
        node: Node,
        take: Callable[[msg.Query, Origin], None],
        cancel: Callable[[QueryKey], object],
    ) -> None:
        self._node = node
        self._take = take
        self._cancel = cancel
        self._goals: dict[str, _Goal] = {}
        self._is_used = False
        # Any thread puts, the executor's gets; without a message: the answer has begun.
        self._told: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._looked = threading.Event()
        group = ReentrantCallbackGroup()
        self._signal = node.create_guard_condition(self._on_told, callback_group=group)
        self._server = PromptActionServer(
            node,
            Generate,
            '~/generate',
            self._execute,
            callback_group=group,
            handle_accepted_callback=self._on_accepted,
            cancel_callback=self._on_cancel,
            goal_service_qos_profile=_SERVICE_QOS,
            result_service_qos_profile=_SERVICE_QOS,
            cancel_service_qos_profile=_SERVICE_QOS,
            feedback_pub_qos_profile=_FEEDBACK_QOS,
            result_timeout=_RESULT_KEPT_S,
        )

    def text_added(self, goal: str, text: str, bill: Bill) -> None:
        """Publish feedback on a goal.

        Arguments:
            text: what its answer has more by now.
            bill: of its query, until now.
        """
        entry = self._goals[goal]
        if not entry.text:
            self._tell(goal, None)
        entry.text += text
        entry.handle.publish_feedback(
            Generate.Feedback(
                text=entry.text,
                response_tokens=bill.response_tokens,
                elapsed_time=bill.time_budget - bill.slack,
                remaining_time=bill.slack,
            )
        )

    def has_ended(self, goal: str, message: msg.Response | msg.DeadlineMiss) -> None:
        """Take the terminal reply to a goal's query; its result is sent soon."""
        self._goals[goal].has_ended = True
        self._tell(goal, message)

    def wait_until_sent(self, timeout_s: float) -> None:
        """Wait until the goals that have ended have their results, or a time-out [s] passes.

        Call it in another thread than the executor's.
        """
        end_s = time.monotonic() + timeout_s
        # A goal leaves _goals before its result is sent.
        for _ in range(_ROUNDS if self._is_used else 0):
            self._looked.clear()
            self._signal.trigger()
            self._looked.wait(max(0.0, end_s - time.monotonic()))

    def destroy(self) -> None:
        """Remove the action; call it when the executor does not spin any more."""
        self._server.destroy()

    def _tell(self, goal: str, message: msg.Response | msg.DeadlineMiss | None) -> None:
        self._told.put((goal, message))
        self._signal.trigger()

    # Callbacks of the executor

    def _on_accepted(self, handle: ServerGoalHandle) -> None:
        goal, query = _name_of(handle), handle.request.query
        origin = messages.origin_of(query, goal, goal)
        self._is_used = True
        self._goals[goal] = _Goal(handle, origin.key, Future(executor=self._node.executor))
        self._take(query, origin)

    def _on_cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        """End a goal's query. If it has ended before, the goal keeps the result that it has.

        Another query may have its identity by then, or from the start (DUPLICATE_ID).
        """
        goal = self._goals.get(_name_of(handle))
        if goal is not None and not goal.has_ended:
            self._cancel(goal.key)
        return CancelResponse.ACCEPT

    def _on_told(self) -> None:
        while not self._told.empty():
            goal, message = self._told.get()
            entry = self._goals[goal]
            if message is not None:
                entry.ended.set_result(message)
            if not entry.is_executing:
                entry.is_executing = True
                entry.handle.execute()
        self._looked.set()

    async def _execute(self, handle: ServerGoalHandle) -> Generate.Result:
        goal = _name_of(handle)
        message = await self._goals[goal].ended
        del self._goals[goal]
        if isinstance(message, msg.Response):
            handle.succeed()
            return Generate.Result(answered=True, response=message)
        if message.reason == msg.DeadlineMiss.CANCELLED and handle.is_cancel_requested:
            handle.canceled()
        else:
            handle.abort()
        return Generate.Result(miss=message)


def _name_of(handle: ServerGoalHandle) -> str:
    """Return a goal's id, as 32 hexadecimal digits."""
    return bytes(handle.goal_id.uuid).hex()
