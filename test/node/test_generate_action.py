"""The action ~/generate, over DDS, through the real node; its worker is scripted."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from action_msgs.msg import GoalStatus
from rclpy.action import CancelResponse
from rclpy.executors import SingleThreadedExecutor
from unique_identifier_msgs.msg import UUID

import timebill_ros.msg as msg
from support.asker import Asker, wait_until
from support.goal_client import DONE, Goal, GoalClient
from support.node_services import ACTIVATE, CLEANUP, DEACTIVATE, NodeServices
from support.scripted_node import scripted_node
from timebill_ros.action import Generate
from timebill_ros.core.outcome import Miss, MissReason
from timebill_ros.node import generate_action
from timebill_ros.node.timebill_node import TimebillNode

SUCCEEDED, ABORTED = GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_ABORTED
CANCELED = GoalStatus.STATUS_CANCELED
HANGS = {'constraint_kind': msg.Query.JSON_SCHEMA, 'constraint': '{"type": "object"}'}
"""The scripted worker begins a document, and never goes on."""


@dataclass
class Running:
    node: TimebillNode
    domain: int
    asker: Asker
    goals: GoalClient
    executor: SingleThreadedExecutor

    def send(self, query_id: str, **fields: Any) -> Goal:
        return self.goals.accepted(self.asker.query(id=query_id, **fields))

    def hanging(self, query_id: str) -> Goal:
        """Send a goal, and wait until its answer has begun."""
        goal = self.send(query_id, **HANGS)
        wait_until(lambda: goal.feedback, 20.0, 'feedback')
        return goal

    def ended(self, goal: Goal) -> tuple[int, int]:
        """Return the status of a goal without an answer, and the reason of its miss."""
        self.goals.wait_for([goal], 20.0)
        assert not goal.result.answered
        assert goal.result.miss == self.asker.reply_to(goal.result.miss.query_id)
        return goal.status, goal.result.miss.reason


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(generate_action, '_RESULT_KEPT_S', 2)
    with scripted_node() as one:
        yield Running(one.node, one.domain, one.asker, GoalClient(one.asker), one.executor)
        one.node.close()
        assert one.node._goals._goals == {}


def test_an_answer_succeeds_and_is_that_of_the_topic(running: Running) -> None:
    goal = running.goals.ask(running.asker.query(id='answered'))
    assert (goal.status, goal.result.answered) == (SUCCEEDED, True)
    running.asker.wait_for(['answered'])
    assert goal.result.response == running.asker.reply_to('answered')
    assert goal.result.response.text == 'Yes.'
    assert goal.result.response.bill.response_tokens == 2
    assert goal.result.miss == msg.DeadlineMiss()


def test_feedback_is_the_text_so_far_with_the_times(running: Running) -> None:
    goal = running.goals.ask(running.asker.query(id='fed', budget_s=50.0))
    wait_until(lambda: goal.feedback, 5.0, 'feedback')
    last = goal.feedback[-1]
    assert (last.text, last.response_tokens) == ('Yes.', 2)
    assert last.elapsed_time + last.remaining_time == pytest.approx(50.0)
    assert 0 < last.elapsed_time < 40.0


def test_a_goal_is_accepted_while_it_waits_and_executes_once_there_is_text(
    running: Running,
) -> None:
    first = running.hanging('first')
    second = running.send('second')
    statuses = running.goals.statuses
    wait_until(lambda: statuses.get(second.id), 5.0, 'a status of the second')
    executing = [GoalStatus.STATUS_ACCEPTED, GoalStatus.STATUS_EXECUTING]
    wait_until(lambda: statuses[first.id][-1] == executing[1], 5.0, 'the first to execute')
    assert statuses[second.id] == executing[:1]
    running.goals.cancel(first)
    running.goals.wait_for([first, second], 20.0)
    assert (first.status, second.status) == (CANCELED, SUCCEEDED)
    wait_until(lambda: statuses[second.id][-1] == SUCCEEDED, 5.0, 'the last status')
    for goal in (first, second):
        assert sum(status in DONE for status in statuses[goal.id]) == 1


def test_a_miss_aborts_and_is_that_of_the_topic(running: Running) -> None:
    invalid = running.send('invalid', prompt=' ')
    assert running.ended(invalid) == (ABORTED, msg.DeadlineMiss.INVALID_QUERY)
    assert invalid.result.miss.detail == 'prompt must not be empty'
    assert running.ended(running.send('expired', budget_s=-1.0)) == (
        ABORTED,
        msg.DeadlineMiss.EXPIRED,
    )
    late = running.send('killed', budget_s=1.0, **HANGS)
    assert running.ended(late) == (ABORTED, msg.DeadlineMiss.KILLED)


def test_a_goal_without_an_id_gets_its_own(running: Running) -> None:
    goal = running.goals.ask(running.asker.query(id=''))
    assert goal.result.response.query_id == goal.id
    assert len(goal.id) == 32


def test_an_id_is_served_once_whether_a_goal_or_a_message_has_it(running: Running) -> None:
    first = running.hanging('twice')
    second = running.send('twice')
    running.goals.wait_for([second], 20.0)
    assert (second.status, second.result.miss.reason) == (ABORTED, msg.DeadlineMiss.DUPLICATE_ID)
    running.asker.publisher.publish(running.asker.query(id='twice'))
    wait_until(lambda: len(running.asker.replies) == 2, 20.0, 'the reply to the message')
    assert running.asker.replies[1].reason == msg.DeadlineMiss.DUPLICATE_ID
    running.goals.cancel(second)  # has its result
    wait_until(lambda: second.cancels, 5.0, 'the answer to cancelling')
    assert not second.cancels[0].goals_canceling
    assert not first.results
    running.goals.cancel(first)
    running.goals.wait_for([first], 20.0)
    assert (first.status, first.result.miss.reason) == (CANCELED, msg.DeadlineMiss.CANCELLED)


class FakeHandle:
    """A goal whose cancelling comes before its result is sent."""

    def __init__(self, query: msg.Query) -> None:
        self.goal_id = UUID(uuid=list(range(16)))
        self.request = Generate.Goal(query=query)

    def execute(self) -> None:
        pass


def test_cancelling_a_refused_goal_leaves_the_query_that_has_its_id(running: Running) -> None:
    first = running.hanging('twice')
    refused, goals = FakeHandle(running.asker.query(id='twice')), running.node._goals
    goals._on_accepted(refused)
    assert goals._on_cancel(refused) == CancelResponse.ACCEPT
    running.asker.wait_for(['twice'], 20.0)
    assert running.asker.reply_to('twice').reason == msg.DeadlineMiss.DUPLICATE_ID
    running.asker.ask(running.asker.query(id='another', prompt=' '))
    assert not first.results
    del goals._goals[bytes(range(16)).hex()]


def test_a_goal_is_cancelled_while_it_runs_and_while_it_waits(running: Running) -> None:
    first, second, third = running.hanging('1'), running.send('2', **HANGS), running.send('3')
    running.goals.cancel(second)
    assert running.ended(second) == (CANCELED, msg.DeadlineMiss.CANCELLED)
    assert second.result.miss.detail == 'its goal was cancelled'
    assert not first.results and not third.results
    running.goals.cancel(first)
    assert running.ended(first) == (CANCELED, msg.DeadlineMiss.CANCELLED)
    running.goals.wait_for([third], 20.0)
    assert third.status == SUCCEEDED
    for goal in (first, second):
        assert [bytes(info.goal_id.uuid).hex() for info in goal.cancels[0].goals_canceling] == [
            goal.id
        ]


def test_the_service_to_cancel_and_the_topic_reach_the_same_queries(running: Running) -> None:
    goal = running.hanging('withdrawn')
    assert NodeServices(running.asker).cancel('asker', 'withdrawn').success
    assert running.ended(goal) == (ABORTED, msg.DeadlineMiss.CANCELLED)


def test_a_burst_of_goals_gets_one_result_each(running: Running) -> None:
    running.hanging('ahead')
    goals = [running.goals.send(running.asker.query(id=f'burst {n}')) for n in range(60)]
    waiting = running.node._settings.serving.max_queue_length
    wait_until(
        lambda: sum(bool(goal.results) for goal in goals) == 60 - waiting, 20.0, 'those refused'
    )
    refused = [goal for goal in goals if goal.results]
    assert {goal.result.miss.reason for goal in refused} == {msg.DeadlineMiss.QUEUE_FULL}
    NodeServices(running.asker).cancel('asker', 'ahead')
    running.goals.wait_for(goals, 20.0)
    assert sum(goal.status == SUCCEEDED for goal in goals) == waiting
    assert len(running.asker.replies) == 61
    assert all(len(goal.results) == 1 for goal in goals)


def test_goals_end_when_the_node_leaves_the_active_state_and_are_refused_then(
    running: Running,
) -> None:
    services = NodeServices(running.asker)
    goals = [running.hanging('runs'), running.send('waits')]
    services.change_state(DEACTIVATE)
    for goal in goals:
        assert running.ended(goal) == (ABORTED, msg.DeadlineMiss.CANCELLED)
        assert goal.result.miss.detail == 'the node is being deactivated'
    not_ready = (ABORTED, msg.DeadlineMiss.NOT_READY)
    assert running.ended(running.send('inactive')) == not_ready
    services.change_state(ACTIVATE)
    goal = running.hanging('runs again')
    services.change_state(DEACTIVATE, CLEANUP)
    assert running.ended(goal) == (ABORTED, msg.DeadlineMiss.CANCELLED)
    assert running.ended(running.send('cleaned up')) == not_ready


def test_results_are_sent_before_the_node_goes(running: Running) -> None:
    goals = [running.hanging('runs'), running.send('waits')]
    futures = running.node._goals._server._result_futures

    def are_requested() -> bool:  # who asks for a result later finds no node
        return len(futures) == 2 and all(future._callbacks for future in futures.values())

    wait_until(are_requested, 20.0, 'the requests for both results')
    running.node.close()
    running.executor.shutdown(timeout_sec=0.0)
    for goal in goals:
        assert running.ended(goal) == (ABORTED, msg.DeadlineMiss.CANCELLED)
        assert goal.result.miss.detail == 'the node is being shut down'


def test_the_node_waits_for_its_executor_to_send_results(running: Running) -> None:
    running.hanging('runs')
    node, is_held, is_released = running.node, threading.Event(), threading.Event()
    running.executor.create_task(lambda: is_held.set() or is_released.wait())
    assert is_held.wait(20.0)
    node._dispatcher.pause(Miss(MissReason.CANCELLED, 'the end'))
    threading.Timer(0.3, is_released.set).start()
    node._goals.wait_until_sent(timeout_s=60.0)
    assert is_released.is_set()
    (future,) = node._goals._server._result_futures.values()
    assert future.result().result.miss.detail == 'the end'


def test_nothing_is_left_of_a_client_that_dies(running: Running) -> None:
    dying = Asker(running.domain)
    client = GoalClient(dying)
    dying.wait_until_serving()
    runs = client.accepted(dying.query(id='runs', budget_s=3.0, **HANGS))
    wait_until(lambda: runs.feedback, 20.0, 'feedback')
    client.accepted(dying.query(id='waits'))
    dying.close()
    running.asker.wait_for(['runs', 'waits'], 20.0)
    assert running.asker.reply_to('runs').reason == msg.DeadlineMiss.KILLED
    assert isinstance(running.asker.reply_to('waits'), msg.Response)
    goals = running.node._goals
    wait_until(lambda: not goals._goals, 5.0, 'no goal without a result')
    wait_until(lambda: not goals._server._goal_handles, 20.0, 'no result to be kept')
    assert goals._server._result_futures == {}
    assert running.send('another').id
