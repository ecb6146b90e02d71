"""The lifecycle of the real node, driven from outside: nothing leaks, everything recovers."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import timebill_ros.msg as msg
from support.asker import START_TIMEOUT_S, Asker, NodeProcess, node_and_asker, wait_until
from support.node_services import (
    ACTIVATE,
    CLEANUP,
    CONFIGURE,
    DEACTIVATE,
    SHUTDOWN,
    NodeServices,
)
from support.tiny_model_folder import saved_qwen2

Driven = tuple[NodeProcess, Asker, NodeServices]


@pytest.fixture(scope='module')
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of random weights, which is loaded quickly."""
    return saved_qwen2(tmp_path_factory.mktemp('model'), max_position_embeddings=8192)


@pytest.fixture
def driven(model: Path, tmp_path: Path) -> Iterator[Driven]:
    """A node that makes no transition by itself."""
    values = {'autostart': 'false', 'model': model, 'profile_time': 0.0}
    with node_and_asker(tmp_path / 'log', **values) as (node, asker):
        asker.wait_until_matched()
        yield node, asker, NodeServices(asker)
        assert 'Traceback' not in node.log.read_text()


def held(node: NodeProcess) -> tuple[int, int, int]:
    """Return how many threads, open files and children the node's process has."""
    process = psutil.Process(node.popen.pid)
    return process.num_threads(), process.num_fds(), len(process.children(recursive=True))


def test_cycles_from_configure_to_cleanup_leak_nothing(driven: Driven) -> None:
    node, asker, services = driven
    assert 'autostart is false: waiting for the transition "configure"' in node.log.read_text()
    after: list[tuple[int, int, int]] = []
    for number in range(4):
        services.change_state(CONFIGURE)
        worker = node.wait_for_worker()
        services.change_state(ACTIVATE)
        asker.wait_until_serving()
        assert isinstance(asker.ask(asker.query(id=f'cycle {number}')), msg.Response)
        services.change_state(DEACTIVATE, CLEANUP)
        assert services.state() == 'unconfigured'
        assert not worker.is_running()
        # What ended may take a moment to be gone: a thread after its last line, say.
        if after:
            wait_until(
                lambda: all(now <= then for now, then in zip(held(node), after[0], strict=True)),
                10.0,
                f'as little to be held as after the first cycle, {after[0]}, by now {held(node)}',
            )
        else:
            wait_until(lambda: held(node)[2] == 0, 10.0, 'no child')
        after.append(held(node))


def test_deactivating_cancels_and_leaves_an_idle_worker_that_serves_again(driven: Driven) -> None:
    node, asker, services = driven
    services.change_state(CONFIGURE, ACTIVATE)
    asker.wait_until_serving()
    worker = node.wait_for_worker()
    asker.publisher.publish(asker.query('word ' * 7000, id='running', max_new_tokens=1000))
    asker.publisher.publish(asker.query(id='waiting'))
    services.change_state(DEACTIVATE)
    asker.wait_for(['running', 'waiting'], 5.0)
    for query_id in ('running', 'waiting'):
        assert asker.reply_to(query_id).reason in (
            msg.DeadlineMiss.CANCELLED,
            msg.DeadlineMiss.NOT_READY,  # if it came after the transition
        )
    assert asker.ask(asker.query(id='inactive')).reason == msg.DeadlineMiss.NOT_READY
    services.change_state(ACTIVATE)
    assert isinstance(asker.ask(asker.query(id='again')), msg.Response)
    assert node.wait_for_worker().pid == worker.pid


def test_load_time_parameters_change_the_model_at_the_next_configure(
    driven: Driven, model: Path
) -> None:
    _, asker, services = driven
    services.change_state(CONFIGURE)
    refused = services.set(model='/another/model.gguf', pessimistic_factor=2.0)
    assert not refused.successful
    assert 'model may be changed only while the node is unconfigured' in refused.reason
    services.change_state(CLEANUP)

    assert services.set(model=str(model), dtype='float32', threads=1).successful
    services.change_state(CONFIGURE, ACTIVATE)
    asker.wait_until_serving()
    assert isinstance(asker.ask(asker.query(id='tiny')), msg.Response)
    values = {v.key: v.value for v in asker.diagnostics[-1].status[0].values}
    assert (values['model'], values['dtype']) == (str(model), 'float32')


def test_cleaning_up_while_the_model_is_being_loaded_leaves_nothing(driven: Driven) -> None:
    node, asker, services = driven
    for _ in range(3):
        configured = services.begin(CONFIGURE)
        node.wait_for_worker()
        services.change_state(CLEANUP)
        wait_until(configured.done, 5.0, 'the answer to configure')
        assert not configured.result().success
        assert services.state() == 'unconfigured'
        wait_until(lambda: node.worker is None, 5.0, 'the worker to be gone')
    assert asker.ask(asker.query(id='q')).detail == 'the node is not configured'
    services.change_state(CONFIGURE, ACTIVATE)
    asker.wait_until_serving()
    assert isinstance(asker.ask(asker.query(id='served')), msg.Response)


def test_a_model_that_does_not_exist_fails_configure_with_the_reason(
    driven: Driven, model: Path
) -> None:
    node, asker, services = driven
    assert services.set(model='/nowhere/model.gguf').successful
    assert not services.is_changed(CONFIGURE)
    assert services.state() == 'unconfigured'
    assert "'/nowhere/model.gguf' does not exist" in node.log.read_text()
    assert "'/nowhere/model.gguf' does not exist" in asker.ask(asker.query(id='none')).detail
    seen = len(asker.diagnostics)
    wait_until(lambda: len(asker.diagnostics) > seen, 5.0, 'diagnostics')
    values = {v.key: v.value for v in asker.diagnostics[-1].status[0].values}
    assert values['state'] == 'failed'
    assert services.set(model=str(model)).successful
    services.change_state(CONFIGURE, ACTIVATE)
    assert isinstance(asker.ask(asker.query(id='served')), msg.Response)


def test_while_it_configures_the_node_answers_everything_else(driven: Driven) -> None:
    node, asker, services = driven
    worker_pid = _suspended_load(node, services)
    seen = len(asker.diagnostics)
    assert services.state() == 'configuring'
    assert services.set(max_new_tokens=7).successful
    assert asker.ask(asker.query(id='q')).reason == msg.DeadlineMiss.NOT_READY
    wait_until(lambda: len(asker.diagnostics) > seen + 1, 10.0, 'diagnostics')
    assert not services.is_changed(CONFIGURE)
    assert services.state() == 'configuring'
    os.kill(worker_pid, signal.SIGCONT)
    wait_until(lambda: services.state() == 'inactive', START_TIMEOUT_S, 'the model')


def _suspended_load(node: NodeProcess, services: NodeServices) -> int:
    """Begin to configure, and stop the worker while it loads; return its process id."""
    services.begin(CONFIGURE)
    worker = node.wait_for_worker()
    worker.suspend()
    return int(worker.pid)


def test_a_transition_that_there_is_not_is_answered_and_changes_nothing(driven: Driven) -> None:
    node, asker, services = driven
    for number in (0, ACTIVATE, DEACTIVATE, CLEANUP, 10, 97, 200):
        assert not services.is_changed(number)
    log = node.log.read_text()
    assert 'there is no transition activate from the state unconfigured' in log
    assert 'parameter' not in log
    assert not services.is_changed(0, label='nonsense')
    assert services.state() == 'unconfigured'
    services.change_state(CONFIGURE)
    assert not services.is_changed(CONFIGURE)
    services.change_state(ACTIVATE)
    for number in (CONFIGURE, ACTIVATE, CLEANUP):
        assert not services.is_changed(number)
    assert isinstance(asker.ask(asker.query(id='served')), msg.Response)
    services.change_state(SHUTDOWN)
    assert services.state() == 'finalized'
    assert not services.is_changed(SHUTDOWN)
    assert asker.ask(asker.query(id='late')).reason == msg.DeadlineMiss.NOT_READY


def test_activate_is_instant_and_the_first_question_is_answered(driven: Driven) -> None:
    _, asker, services = driven
    services.change_state(CONFIGURE)
    assert services.state() == 'inactive'
    services.change_state(ACTIVATE)
    assert isinstance(asker.ask(asker.query(id='first')), msg.Response)
