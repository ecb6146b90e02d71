"""The node's executor goes on while the worker loads and generates."""

import itertools
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
from lifecycle_msgs.msg import State
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

import timebill_ros.msg as msg
from support.asker import START_TIMEOUT_S, Asker, wait_until
from support.ros_domain import next_domain
from timebill_ros.node.timebill_node import TimebillNode

pytestmark = pytest.mark.alone

Running = tuple[TimebillNode, Asker]


@pytest.fixture(scope='module')
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the user's converted model, and a time model of its own.

    It is measured too briefly for the user's, and once for all tests.
    """
    models = (
        Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'timebill_ros/models'
    )
    models.mkdir(parents=True, exist_ok=True)
    cache = tmp_path_factory.mktemp('cache')
    (cache / 'timebill_ros').mkdir()
    (cache / 'timebill_ros' / 'models').symlink_to(models)
    return cache


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[Running]:
    monkeypatch.setenv('XDG_CACHE_HOME', str(cache))
    domain = next_domain()
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = TimebillNode(
        context=context, parameter_overrides=[Parameter('profile_time', value=15.0)]
    )
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    spinning = threading.Thread(target=executor.spin, daemon=True)
    asker = Asker(domain)
    yield node, asker, spinning  # type: ignore[misc]
    asker.close()
    node.close()
    executor.shutdown(timeout_sec=1.0)
    spinning.join(timeout=2.0)
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_a_timer_and_a_parameter_request_run_on_meanwhile(running: Running) -> None:
    node, asker, spinning = running  # type: ignore[misc]
    ticks: list[float] = []
    node.create_timer(0.02, lambda: ticks.append(time.monotonic()))
    spinning.start()
    client = asker.node.create_client(GetParameters, '/timebill/get_parameters')
    assert client.wait_for_service(10.0)

    def longest_gap(work: str, until: object) -> None:
        ticks.clear()
        answered = 0
        while not until():  # type: ignore[operator]
            future = client.call_async(GetParameters.Request(names=['model']))
            wait_until(future.done, 2.0, f'a parameter request during {work}')
            answered += 1
            time.sleep(0.05)
        gaps = [later - earlier for earlier, later in itertools.pairwise(ticks)]
        assert answered > 5
        assert max(gaps) < 0.5, work  # 20 ms by design; a blocking call would take seconds
        assert sorted(gaps)[len(gaps) // 2] < 0.04, work

    longest_gap('loading', lambda: node._supervisor.ready is not None)
    asker.wait_until_serving()
    query = asker.query('Tell a long story.', 4.0, id='long', max_new_tokens=4000)
    asker.publisher.publish(query)
    longest_gap('generating', lambda: any(r.query_id == 'long' for r in asker.replies))


def test_lifecycle_and_parameters_while_running(running: Running) -> None:
    node, asker, spinning = running  # type: ignore[misc]
    spinning.start()
    asker.wait_until_serving()
    assert node._state_machine.current_state[0] == State.PRIMARY_STATE_ACTIVE

    client = asker.node.create_client(SetParameters, '/timebill/set_parameters')
    assert client.wait_for_service(10.0)

    def set_value(name: str, value: object) -> object:
        parameter = Parameter(name, value=value).to_parameter_msg()
        future = client.call_async(SetParameters.Request(parameters=[parameter]))
        wait_until(future.done, 5.0, 'the parameter to be set')
        return future.result().results[0]

    refused = set_value('default_time_budget', -3.0)
    assert not refused.successful  # type: ignore[attr-defined]
    assert node.get_parameter('default_time_budget').value == 10.0
    assert set_value('default_time_budget', 77.0).successful  # type: ignore[attr-defined]
    reply = asker.ask(asker.query(budget_s=0.0, id='default'))
    assert reply.bill.time_budget == pytest.approx(77.0)

    asker.publisher.publish(asker.query('A story.', id='running', max_new_tokens=4000))
    wait_until(lambda: any(c.query_id == 'running' for c in asker.chunks), 60.0, 'a chunk')
    node.trigger_deactivate()
    asker.wait_for(['running'], 5.0)
    assert asker.reply_to('running').reason == asker.reply_to('running').CANCELLED
    assert asker.ask(asker.query(id='inactive')).detail == 'the node is not active'
    supervisor = node._supervisor
    assert supervisor is not None
    supervisor.on_worker_ready(supervisor.ready)  # as when it has been replaced meanwhile
    time.sleep(0.5)
    assert asker.ask(asker.query(id='still inactive')).detail == 'the node is not active'
    node.trigger_activate()
    assert asker.ask(asker.query(id='active again')).text

    assert not set_value('model', 'another').successful  # type: ignore[attr-defined]
    assert node._settings.loading.model == node.get_parameter('model').value != 'another'

    node.trigger_deactivate()
    node.trigger_cleanup()
    assert asker.ask(asker.query(id='cleaned')).detail == 'the node is not configured'
    node.trigger_configure()
    wait_until(lambda: node.state_label == 'inactive', START_TIMEOUT_S, 'the model')
    node.trigger_activate()
    assert asker.ask(asker.query(id='configured again')).text


def test_recalibrate_measures_again_while_queries_are_refused(running: Running) -> None:
    _, asker, spinning = running  # type: ignore[misc]
    spinning.start()
    client = asker.node.create_client(Trigger, '/timebill/recalibrate')
    assert client.wait_for_service(10.0)

    def recalibrate() -> Trigger.Response:
        future = client.call_async(Trigger.Request())
        wait_until(future.done, 5.0, 'the answer of the service')
        return future.result()

    assert 'being loaded' in recalibrate().message
    asker.wait_until_serving()
    asker.publisher.publish(asker.query('A story.', id='running', max_new_tokens=60))
    wait_until(lambda: any(c.query_id == 'running' for c in asker.chunks), 60.0, 'a chunk')
    refused = recalibrate()
    assert (refused.success, 'being served' in refused.message) == (False, True)
    asker.wait_for(['running'])

    assert recalibrate().success
    assert asker.ask(asker.query(id='meanwhile')).reason == msg.DeadlineMiss.NOT_READY
    asker.wait_until_serving()
    assert asker.ask(asker.query(id='afterwards')).text
