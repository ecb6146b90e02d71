"""The node's side of a worker process; the test sits in the worker's place."""

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator

import msgspec
import pytest

from support.asker import wait_until
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.worker import worker_client, worker_process
from timebill_ros.worker.log_line import LogLine
from timebill_ros.worker.progress import Progress, Tokenised
from timebill_ros.worker.protocol import (
    Drop,
    Estimate,
    Failed,
    FromWorker,
    Load,
    Phase,
    PrefixesHeld,
    Prepared,
    Ready,
    ToWorker,
)
from timebill_ros.worker.wire import encode, messages_to_worker
from timebill_ros.worker.worker_client import WorkerClient, WorkerState
from timebill_ros.worker.worker_process import WorkerProcess

LOAD = Load(ModelSettings(model='model'))
READY = Ready('model', 'cpu', 'float32', 100, 16, 'none', 'transformers', 'none')


class FakeListener:
    """Records what it is told."""

    def __init__(self) -> None:
        self.said: list[FromWorker] = []
        self.left = self.lost_at_leaving = 0
        self.lost: list[str] = []
        self.failed: list[str] = []
        self.log: list[str] = []
        self.phases: list[Phase] = []

    def on_worker_ready(self, ready: Ready) -> None:
        self.said.append(ready)

    def on_worker_estimate(self, estimate: Estimate) -> None:
        self.said.append(estimate)

    def on_worker_progress(self, progress: Progress) -> None:
        self.said.append(progress)

    def on_worker_leaving(self) -> None:
        self.left += 1
        self.lost_at_leaving = len(self.lost)

    def on_worker_lost(self, detail: str) -> None:
        self.lost.append(detail)

    def on_worker_failed(self, detail: str) -> None:
        self.failed.append(detail)

    def on_worker_prefixes(self, held: PrefixesHeld) -> None:
        self.said.append(held)

    def on_worker_prepared(self, prepared: Prepared) -> None:
        self.said.append(prepared)

    def on_worker_phase(self, phase: Phase) -> None:
        self.phases.append(phase)

    def on_worker_log(self, line: LogLine) -> None:
        self.log.append(line.text)


class Watched:
    """A client whose process is a shell that only sleeps; `connection` is what it would hold."""

    def __init__(self) -> None:
        self.starts = 0
        self.listener = FakeListener()
        self.client = WorkerClient(LOAD, self.listener)

    def start_process(self, on_log: Callable[[LogLine], None]) -> WorkerProcess:
        self.starts += 1
        ours, self.connection = socket.socketpair()
        popen = subprocess.Popen(
            ['sh', '-c', 'echo a line >&2; exec sleep 60'], stderr=subprocess.PIPE
        )
        return WorkerProcess(popen, ours, on_log)

    def say(self, message: FromWorker) -> None:
        self.connection.sendall(encode(message))

    def wait_for_start(self, number: int) -> None:
        self.wait_for('a process', lambda: self.starts == number and self.client.pid)

    def wait_for(self, what: str, condition: Callable[[], object]) -> None:
        wait_until(condition, 5.0, what)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    watched = Watched()
    monkeypatch.setattr(WorkerProcess, 'start', watched.start_process)
    watched.client.start()
    watched.wait_for('a process', lambda: watched.client.pid)
    yield watched
    watched.client.stop()
    watched.connection.close()


def test_the_model_is_loaded_first_and_then_messages_go_both_ways(watched: Watched) -> None:
    inbox = messages_to_worker(watched.connection)
    assert next(inbox) == LOAD
    assert watched.client.state is WorkerState.LOADING
    said = [Estimate(None), READY, Tokenised(0, 1)]
    for message in said:
        watched.say(message)
    watched.wait_for('all messages', lambda: watched.listener.said == said)
    assert watched.client.state is WorkerState.READY
    watched.client.send(Drop(0))
    assert next(inbox) == Drop(0)
    watched.wait_for('the log', lambda: watched.listener.log == ['a line'])


def test_messages_are_encoded_on_the_writers_thread(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sends holds the dispatcher's lock."""
    threads: list[threading.Thread] = []

    def watched_encode(message: ToWorker) -> bytes:
        threads.append(threading.current_thread())
        return encode(message)

    inbox = messages_to_worker(watched.connection)
    assert next(inbox) == LOAD
    monkeypatch.setattr(worker_process, 'encode', watched_encode)
    watched.client.send(Drop(0))
    assert next(inbox) == Drop(0)
    (writer,) = threads
    assert writer is not threading.current_thread()


def test_a_worker_that_cannot_be_understood_is_replaced_and_the_log_says_why(
    watched: Watched,
) -> None:
    watched.say(READY)
    first_pid = watched.client.pid
    payload = msgspec.msgpack.encode({'type': 'Greet'})
    watched.connection.sendall(len(payload).to_bytes(4, 'big') + payload)
    watched.wait_for('its end', lambda: watched.listener.lost)
    assert "no message: Invalid value 'Greet'" in watched.listener.lost[0]
    watched.wait_for('the next', lambda: watched.client.pid not in (None, first_pid))
    watched.say(READY)
    watched.wait_for('READY', lambda: watched.client.state is WorkerState.READY)
    assert (watched.starts, watched.client.restarts) == (2, 1)


def test_a_fault_of_the_listener_costs_the_worker_and_not_the_thread(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.say(READY)
    first_pid = watched.client.pid

    def fails(progress: Progress) -> None:
        raise ArithmeticError(f'{progress} is not understood')

    monkeypatch.setattr(watched.listener, 'on_worker_progress', fails)
    watched.say(Tokenised(1, 2, 3))
    watched.wait_for('its end', lambda: watched.listener.lost)
    assert 'the node failed at what it told: ArithmeticError(' in watched.listener.lost[0]
    watched.wait_for('the next', lambda: watched.client.pid not in (None, first_pid))
    watched.say(READY)
    watched.wait_for('READY', lambda: watched.client.state is WorkerState.READY)


def test_a_worker_that_is_killed_says_why_and_one_that_dies_its_last_line(
    watched: Watched,
) -> None:
    watched.wait_for('the log', lambda: watched.listener.log)
    watched.client.kill('it did not stop')
    watched.connection.close()
    watched.wait_for('its end', lambda: watched.listener.lost == ['it did not stop'])
    watched.wait_for('the next', lambda: len(watched.listener.log) == 2)
    watched.connection.close()
    watched.wait_for('its end', lambda: len(watched.listener.lost) == 2)
    assert watched.listener.lost[1] == 'killed by SIGKILL: a line'


def test_the_end_of_a_connection_is_told_before_its_reason_is_known(watched: Watched) -> None:
    watched.say(READY)
    watched.wait_for('READY', lambda: watched.listener.said)
    watched.connection.close()
    watched.wait_for('the loss', lambda: watched.listener.lost)
    assert (watched.listener.left, watched.listener.lost_at_leaving) == (1, 0)


def test_a_process_that_never_served_does_not_leave(watched: Watched) -> None:
    watched.connection.close()
    watched.wait_for('the loss', lambda: watched.listener.lost)
    assert watched.listener.left == 0


def test_a_model_that_cannot_be_loaded_is_not_tried_again(watched: Watched) -> None:
    watched.say(Failed('no such model'))
    watched.wait_for('its end', lambda: watched.client.state is WorkerState.FAILED)
    assert watched.client.describe() == 'no such model'
    assert (watched.listener.failed, watched.listener.lost) == (['no such model'], [])
    assert watched.starts == 1


def test_a_cause_that_may_pass_is_tried_three_times_and_then_has_failed(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_client, '_FIRST_BACK_OFF_S', 0.01)
    for attempt in range(1, 4):
        watched.wait_for_start(attempt)
        watched.say(Failed('no network', may_pass=True))
        watched.wait_for('its end', lambda: watched.client.state is not WorkerState.LOADING)
    watched.wait_for('the end', lambda: watched.listener.failed)
    assert watched.listener.failed == ['no network, after 3 attempts']
    assert watched.listener.lost == ['no network', 'no network']
    assert watched.client.describe() == 'no network, after 3 attempts'
    assert (watched.client.state, watched.starts) == (WorkerState.FAILED, 3)


def test_a_process_that_dies_while_it_loads_is_tried_three_times(watched: Watched) -> None:
    for attempt in range(1, 4):
        watched.wait_for_start(attempt)
        watched.connection.close()
        watched.wait_for('its end', lambda: watched.client.state is not WorkerState.LOADING)
    watched.wait_for('the end', lambda: watched.listener.failed)
    assert watched.listener.failed == ['killed by SIGKILL: a line, after 3 attempts']
    assert watched.client.state is WorkerState.FAILED


def test_a_worker_that_has_been_ready_once_is_replaced_without_end(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_client, '_FIRST_BACK_OFF_S', 0.05)
    monkeypatch.setattr(worker_client, '_LONGEST_BACK_OFF_S', 0.05)
    watched.say(READY)
    watched.wait_for('READY', lambda: watched.client.state is WorkerState.READY)
    for start in range(1, 7):
        watched.wait_for_start(start)
        watched.say(Failed('the disk is full'))
    watched.wait_for_start(7)
    assert watched.listener.lost == ['the disk is full'] * 6
    assert watched.listener.failed == []
    assert watched.client.state is not WorkerState.FAILED


def test_it_is_stopped_at_once_while_it_waits_to_start_again(watched: Watched) -> None:
    watched.say(Failed('no network', may_pass=True))
    watched.wait_for('the back-off', lambda: watched.client.state is WorkerState.WAITING)
    assert 'no network' in watched.client.describe()
    watched.client.stop()
    assert not watched.client._supervisor.is_alive()
    assert (watched.client.state, watched.starts) == (WorkerState.STOPPED, 1)


def test_it_says_whether_it_loads_or_measures(watched: Watched) -> None:
    assert "the model 'model' is being loaded" in watched.client.describe()
    watched.say(Phase('measuring', 0.4))
    watched.wait_for('the phase', lambda: watched.listener.phases)
    assert watched.client.describe() == "the time model of 'model' is being measured, 40% done"
