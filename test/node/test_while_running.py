"""Transitions, parameters and recalibrate of a node that runs, from its own process."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lifecycle_msgs.msg import State
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

import timebill_ros.msg as msg
from support.asker import START_TIMEOUT_S, wait_until
from support.node_in_process import NodeInProcess, built_in_node, own_cache


@pytest.fixture(scope='module')
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own_cache(tmp_path_factory.mktemp('cache'))


@pytest.fixture
def running(cache: Path) -> Iterator[NodeInProcess]:
    with built_in_node(cache, 4.0) as running:
        running.spinning.start()
        yield running


def test_lifecycle_and_parameters_while_running(running: NodeInProcess) -> None:
    node, asker = running.node, running.asker
    asker.wait_until_serving()
    assert node._state_machine.current_state[0] == State.PRIMARY_STATE_ACTIVE

    client = asker.node.create_client(SetParameters, '/timebill/set_parameters')
    assert client.wait_for_service(10.0)

    def set_value(name: str, value: object) -> SetParametersResult:
        parameter = Parameter(name, value=value).to_parameter_msg()
        future = client.call_async(SetParameters.Request(parameters=[parameter]))
        wait_until(future.done, 5.0, 'the parameter to be set')
        return future.result().results[0]

    refused = set_value('default_time_budget', -3.0)
    assert not refused.successful
    assert node.get_parameter('default_time_budget').value == 10.0
    assert set_value('default_time_budget', 77.0).successful
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

    assert not set_value('model', 'another').successful
    assert node._settings.loading.model == node.get_parameter('model').value != 'another'

    node.trigger_deactivate()
    node.trigger_cleanup()
    assert asker.ask(asker.query(id='cleaned')).detail == 'the node is not configured'
    node.trigger_configure()
    wait_until(lambda: node.state_label == 'inactive', START_TIMEOUT_S, 'the model')
    node.trigger_activate()
    assert asker.ask(asker.query(id='configured again')).text


def test_recalibrate_measures_again_while_queries_are_refused(running: NodeInProcess) -> None:
    asker = running.asker
    client = asker.node.create_client(Trigger, '/timebill/recalibrate')
    assert client.wait_for_service(10.0)

    def recalibrate() -> Trigger.Response:
        future = client.call_async(Trigger.Request())
        wait_until(future.done, 5.0, 'the answer of the service')
        return future.result()

    asker.wait_until_serving()
    asker.publisher.publish(asker.query('A story.', id='running', max_new_tokens=60))
    wait_until(lambda: any(c.query_id == 'running' for c in asker.chunks), 60.0, 'a chunk')
    refused = recalibrate()
    assert (refused.success, 'being served' in refused.message) == (False, True)
    asker.wait_for(['running'])

    assert recalibrate().success
    meanwhile = asker.ask(asker.query(id='meanwhile'))
    assert meanwhile.reason == msg.DeadlineMiss.NOT_READY
    assert 'measured again' in meanwhile.detail
    running.node.trigger_deactivate()
    assert asker.ask(asker.query(id='inactive, too')).detail == 'the node is not active'
    running.node.trigger_activate()
    asker.wait_until_serving()
    assert asker.ask(asker.query(id='afterwards')).text
