"""A burst of goals is taken in few turns of the executor, no goal is lost, and results expire."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile

from support.asker import wait_until
from support.ros_domain import next_domain
from timebill_ros.action import Generate
from timebill_ros.node.prompt_action_server import MOST_AT_ONCE, PromptActionServer

_QOS = QoSProfile(depth=1000)
BURST = 2 * MOST_AT_ONCE + 5


def executed(handle: Any) -> Generate.Result:
    handle.succeed()
    return Generate.Result(answered=True)


@pytest.fixture
def both() -> Iterator[tuple[SingleThreadedExecutor, ...]]:
    context = Context()
    rclpy.init(context=context, domain_id=next_domain())
    executors = [SingleThreadedExecutor(context=context) for _ in range(2)]
    nodes = [Node(name, context=context) for name in ('serves', 'asks')]
    for executor, node in zip(executors, nodes, strict=True):
        executor.add_node(node)
    yield tuple(executors)
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown(context=context)


def server_of(node: Node, taken: list[int], result_timeout: int) -> PromptActionServer:
    def accepted(handle: Any) -> None:
        taken.append(1)
        handle.execute()

    return PromptActionServer(
        node,
        Generate,
        'generate',
        executed,
        handle_accepted_callback=accepted,
        goal_service_qos_profile=_QOS,
        result_service_qos_profile=_QOS,
        result_timeout=result_timeout,
    )


def client_of(node: Node) -> ActionClient:
    client = ActionClient(
        node, Generate, 'generate', goal_service_qos_profile=_QOS, result_service_qos_profile=_QOS
    )
    wait_until(client.server_is_ready, 20.0, 'the action')
    time.sleep(0.5)  # the server may find the client later than that finds the server
    return client


def test_a_burst_is_taken_in_few_turns(both: tuple[SingleThreadedExecutor, ...]) -> None:
    serving, asking = both
    taken: list[int] = []
    server = server_of(serving.get_nodes()[0], taken, result_timeout=60)
    client = client_of(asking.get_nodes()[0])
    goals = [client.send_goal_async(Generate.Goal()) for _ in range(BURST)]
    time.sleep(0.5)
    per_turn, end_s = [], time.monotonic() + 60.0
    while len(taken) < BURST and time.monotonic() < end_s:
        before = len(taken)
        serving.spin_once(timeout_sec=0.1)
        per_turn.append(len(taken) - before)
    assert len(taken) == BURST
    assert max(per_turn) == MOST_AT_ONCE

    def spin_until(futures: list[Any]) -> None:
        while not all(future.done() for future in futures) and time.monotonic() < end_s:
            serving.spin_once(timeout_sec=0.01)
            asking.spin_once(timeout_sec=0.01)

    spin_until(goals)
    results = [goal.result().get_result_async() for goal in goals]
    spin_until(results)
    assert all(result.result().result.answered for result in results)
    server.destroy()
    client.destroy()


def test_results_expire(both: tuple[SingleThreadedExecutor, ...]) -> None:
    serving, asking = both
    taken: list[int] = []
    server = server_of(serving.get_nodes()[0], taken, result_timeout=1)
    client = client_of(asking.get_nodes()[0])
    client.send_goal_async(Generate.Goal())
    end_s = time.monotonic() + 30.0
    while not taken and time.monotonic() < end_s:
        serving.spin_once(timeout_sec=0.1)
    expired_s = time.monotonic() + 2.5
    while time.monotonic() < expired_s:
        serving.spin_once(timeout_sec=0.1)
    assert not server._goal_handles
    server.destroy()
    client.destroy()
