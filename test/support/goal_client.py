"""A client of the action ~/generate, which keeps all that comes back."""

from dataclasses import dataclass, field
from typing import Any

from action_msgs.msg import GoalStatus, GoalStatusArray
from rclpy.action import ActionClient
from rclpy.qos import QoSProfile, qos_profile_action_status_default

import timebill_ros.msg as msg
from support.asker import Asker, wait_until
from timebill_ros.action import Generate

DONE = (GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_ABORTED, GoalStatus.STATUS_CANCELED)
_QOS = QoSProfile(depth=1000)


@dataclass
class Goal:
    """A goal, and what came back: feedback, results with their status, answers to cancelling."""

    query: msg.Query
    handle: Any = None
    feedback: list[Generate.Feedback] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)
    cancels: list[Any] = field(default_factory=list)

    @property
    def id(self) -> str:
        return bytes(self.handle.goal_id.uuid).hex()

    @property
    def status(self) -> int:
        return int(self.results[0].status)

    @property
    def result(self) -> Generate.Result:
        return self.results[0].result


class GoalClient:
    """Sends goals from an asker's node. rclpy wants that done in the executor's thread."""

    def __init__(self, asker: Asker) -> None:
        self._node = asker.node
        self._client = ActionClient(
            asker.node,
            Generate,
            f'{asker.peer}/generate',
            goal_service_qos_profile=_QOS,
            result_service_qos_profile=_QOS,
            cancel_service_qos_profile=_QOS,
            feedback_sub_qos_profile=_QOS,
        )
        self.statuses: dict[str, list[int]] = {}
        asker.node.create_subscription(
            GoalStatusArray,
            f'{asker.peer}/generate/_action/status',
            self._on_status,
            qos_profile_action_status_default,
        )
        assert self._client.wait_for_server(20.0)

    def send(self, query: msg.Query) -> Goal:
        """Send a goal, and return at once."""
        goal = Goal(query)
        self._do(self._send, goal)
        return goal

    def accepted(self, query: msg.Query) -> Goal:
        """Send a goal, and wait until it is accepted."""
        goal = self.send(query)
        wait_until(lambda: goal.handle is not None, 20.0, 'the goal to be accepted')
        return goal

    def cancel(self, goal: Goal) -> None:
        """Cancel a goal that is accepted, and return at once."""
        self._do(
            lambda: goal.handle.cancel_goal_async().add_done_callback(
                lambda future: goal.cancels.append(future.result())
            )
        )

    def ask(self, query: msg.Query) -> Goal:
        """Send a goal, and wait for its result."""
        goal = self.send(query)
        self.wait_for([goal])
        return goal

    def wait_for(self, goals: list[Goal], timeout_s: float = 120.0) -> None:
        wait_until(lambda: all(goal.results for goal in goals), timeout_s, 'a result of each goal')

    def close(self) -> None:
        self._client.destroy()

    def _do(self, what: Any, *arguments: Any) -> None:
        self._node.executor.create_task(what, *arguments)

    def _send(self, goal: Goal) -> None:
        future = self._client.send_goal_async(
            Generate.Goal(query=goal.query),
            feedback_callback=lambda message: goal.feedback.append(message.feedback),
        )
        future.add_done_callback(lambda future: self._on_accepted(goal, future.result()))

    def _on_accepted(self, goal: Goal, handle: Any) -> None:
        assert handle.accepted
        goal.handle = handle
        handle.get_result_async().add_done_callback(
            lambda future: goal.results.append(future.result())
        )

    def _on_status(self, message: GoalStatusArray) -> None:
        for status in message.status_list:
            seen = self.statuses.setdefault(bytes(status.goal_info.goal_id.uuid).hex(), [])
            if status.status not in seen[-1:]:
                seen.append(status.status)
