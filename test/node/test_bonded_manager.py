"""The real node under a lifecycle manager with a bond, as nav2's has."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip('bondpy', reason='bondpy is in no package registry')

import timebill_ros.msg as msg
from support.asker import Asker, NodeProcess, node_and_asker, wait_until
from support.nav2_manager import Nav2Manager
from support.tiny_model_folder import saved_qwen2


@pytest.fixture
def driven(tmp_path: Path) -> Iterator[tuple[NodeProcess, Asker]]:
    model = saved_qwen2(tmp_path / 'model')
    values = {'autostart': 'false', 'model': model, 'profile_time': 0.0}
    with node_and_asker(tmp_path / 'log', bond_heartbeat_period=0.1, **values) as driven:
        driven[1].wait_until_matched()
        yield driven
        assert 'Traceback' not in driven[0].log.read_text()


def test_a_manager_brings_it_up_and_down_and_sees_it_die(
    driven: tuple[NodeProcess, Asker],
) -> None:
    node, asker = driven
    manager = Nav2Manager(asker)
    for cycle in range(2):
        assert manager.bring_up()
        assert isinstance(asker.ask(asker.query(id=f'cycle {cycle}')), msg.Response)
        assert not manager.bond.is_broken()
        manager.take_down()
        wait_until(manager.bond.is_broken, 2.0, 'the bond to be dissolved')
        assert _warnings(node) == 0
        manager.release()
    assert manager.bring_up()
    time.sleep(1.0)  # bondpy counts the time only from the second heartbeat on
    node.popen.send_signal(signal.SIGKILL)
    wait_until(manager.bond.is_broken, 8.0, 'the manager to see that the node died')
    manager.release()


def test_the_node_goes_on_when_its_manager_is_gone(driven: tuple[NodeProcess, Asker]) -> None:
    node, asker = driven
    manager = Nav2Manager(asker)
    for breaks in (1, 2):  # bondpy fails at the second break of a bond in a process
        assert manager.bring_up()
        manager.bond.break_bond()
        wait_until(lambda n=breaks: _warnings(node) == n, 8.0, 'the warning')
        assert isinstance(asker.ask(asker.query(id=f'alone {breaks}')), msg.Response)
        manager.release()
        manager.take_down()


def _warnings(node: NodeProcess) -> int:
    return node.log.read_text().count('bond with the lifecycle manager is broken')
