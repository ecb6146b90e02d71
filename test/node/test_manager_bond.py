"""The heartbeat for nav2's lifecycle manager. With bondpy itself: test_bonded_manager.py."""

from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter

from support import fake_bondpy
from support.fake_bondpy import FakeBond
from support.fake_logger import FakeLogger
from support.fake_worker_client import FakeWorkerClient
from support.ros_domain import next_domain
from timebill_ros.node import supervisor as room
from timebill_ros.node.manager_bond import _PARAMETER
from timebill_ros.node.settings import NodeSettings
from timebill_ros.node.timebill_node import TimebillNode
from timebill_ros.worker.protocol import Ready
from timebill_ros.worker.worker_client import WorkerState

READY = Ready('model', 'cpu', 'float32', 100, 16, 'none', 'transformers', 'none')


@pytest.fixture
def context() -> Iterator[Context]:
    context = Context()
    rclpy.init(context=context, domain_id=next_domain())
    yield context
    rclpy.shutdown(context=context)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, context: Context) -> Iterator[Any]:
    """A node with a heartbeat, configured."""
    fake_bondpy.install(monkeypatch)
    FakeWorkerClient.made = []
    monkeypatch.setattr(room, 'WorkerClient', FakeWorkerClient)
    values = {'autostart': False, 'bond_heartbeat_period': 0.5}
    node = TimebillNode(
        context=context,
        namespace='/robot',
        parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
    )
    configure(node)
    yield node
    node.close()
    node.destroy_node()


def configure(node: Any) -> None:
    node.configure()
    worker = FakeWorkerClient.made[-1]
    worker.state = WorkerState.READY
    worker.listener.on_worker_ready(READY)
    node._on_loaded()


def held(node: Any) -> tuple[int, int]:
    return len(list(node.publishers)), len(list(node.subscriptions))


def test_it_beats_while_the_node_is_active(node: Any) -> None:
    before = held(node)
    assert FakeBond.made == []
    node.change_state('activate')
    (bond,) = FakeBond.made
    assert (bond.id, bond.doing, bond.heartbeat_period) == ('timebill', 'started', 0.5)
    assert bond.sub.topic_name == bond.pub.topic_name == '/robot/bond'
    node.change_state('deactivate')
    assert bond.doing == 'breaking'  # bondpy tells the manager meanwhile
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    bond.broken()
    assert bond.doing == 'broken'  # in another thread than the executor's, perhaps
    executor.spin_once(timeout_sec=5.0)
    assert bond.doing == 'shut down'
    assert held(node) == before
    executor.shutdown()


def test_another_activation_or_the_end_of_the_node_does_not_wait_for_the_manager(
    node: Any,
) -> None:
    before = held(node)
    node.change_state('activate')
    node.change_state('deactivate')
    node.declare_parameter(_PARAMETER, False)  # as bondpy does when a bond breaks
    node.change_state('activate')
    assert not node.has_parameter(_PARAMETER)
    assert [bond.doing for bond in FakeBond.made] == ['shut down', 'started']
    node.change_state('shutdown')
    assert FakeBond.made[1].doing == 'breaking'
    node._bond.close()
    assert FakeBond.made[1].doing == 'shut down'
    assert held(node) == before


def test_a_broken_bond_is_a_warning_and_a_dissolved_one_is_none(
    node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = FakeLogger()
    node.change_state('activate')
    monkeypatch.setattr(node, 'get_logger', lambda: logger)
    (bond,) = FakeBond.made
    bond.broken()
    assert 'the bond with the lifecycle manager is broken' in logger.at('warning')[0]
    node.change_state('deactivate')
    assert bond.doing == 'shut down'
    node.change_state('activate')
    node.change_state('deactivate')
    FakeBond.made[1].broken()
    assert len(logger.at('warning')) == 1


def test_there_is_none_by_default(node: Any) -> None:
    node.change_state('cleanup')
    assert node.set_parameters_atomically(
        [Parameter('bond_heartbeat_period', value=0.0)]
    ).successful
    configure(node)
    node.change_state('activate')
    assert FakeBond.made == []


def test_without_bondpy_a_period_is_refused_by_a_sentence() -> None:
    with pytest.raises(ValueError, match=r'bond_heartbeat_period must be 0\.0 s as long as the '):
        NodeSettings(bond_heartbeat_period_s=0.5)
    assert NodeSettings().bond_heartbeat_period_s == 0.0
