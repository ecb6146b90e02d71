"""The real worker process, without a model: how it ends when the connection does not serve."""

import logging
import socket
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import psutil
import pytest

from support.asker import wait_until
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.worker.log_line import LogLine
from timebill_ros.worker.protocol import Failed, Load
from timebill_ros.worker.wire import encode
from timebill_ros.worker.worker_process import WorkerProcess

NONSENSE = msgspec.msgpack.encode({'type': 'Greet'})
LOAD = Load(ModelSettings(model='/nowhere'))


class Started:
    """A worker process that has been told nothing yet."""

    def __init__(self) -> None:
        self.log: list[LogLine] = []
        self.process = WorkerProcess.start(self.log.append)

    def send_nonsense(self) -> None:
        self.process._connection.sendall(len(NONSENSE).to_bytes(4, 'big') + NONSENSE)

    def last_words(self) -> str:
        """Return why it ended, by itself."""
        wait_until(lambda: self.process._popen.poll() is not None, 60.0, 'its end')
        return self.process.close()


@pytest.fixture
def started() -> Iterator[Started]:
    started = Started()
    yield started
    started.process.close()


def test_it_ends_with_its_connection(started: Started) -> None:
    started.process._connection.close()
    assert started.last_words() == 'exit status 0'


def test_its_threads_share_one_heap_unless_the_user_wants_more(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('MALLOC_ARENA_MAX', '3')
    other = Started()
    heaps = [
        psutil.Process(one.process.pid).environ()['MALLOC_ARENA_MAX'] for one in (started, other)
    ]
    other.process.close()
    assert heaps == ['1', '3']


def test_it_ends_when_it_is_not_told_what_to_load(started: Started) -> None:
    started.send_nonsense()
    assert "no message: Invalid value 'Greet'" in started.last_words()


def test_it_ends_when_it_cannot_understand_the_node(started: Started) -> None:
    started.process._connection.sendall(encode(LOAD))
    started.send_nonsense()
    assert started.last_words().startswith('exit status 1')
    assert any('the node cannot be understood' in line.text for line in started.log)


def test_an_error_is_one_line_and_its_traceback_is_for_who_looks(started: Started) -> None:
    started.process._connection.sendall(encode(LOAD))
    started.send_nonsense()
    assert "no message: Invalid value 'Greet'" in started.last_words()
    seen = [line for line in started.log if line.level > logging.DEBUG]
    assert [line.level for line in seen] == [logging.ERROR]
    assert any('Traceback' in line.text for line in started.log)


def test_a_kill_from_outside_names_the_likely_cause(started: Started) -> None:
    started.process._popen.kill()
    words = started.last_words()
    assert words == 'killed by SIGKILL, as the kernel does when memory runs out'


@pytest.mark.parametrize(
    ('said', 'words'),
    [
        ('WARNING: no length predictor', ''),
        ('INFO: removing what is left over', ''),
        ('ERROR: generation failed', ': generation failed'),
        ('terminate called', ': terminate called'),
        ('illegal hardware instruction', ': illegal hardware instruction'),
    ],
)
def test_only_what_tells_of_a_fault_is_given_as_its_reason(said: str, words: str) -> None:
    script = f'import os; os.write(2, {said.encode()!r}); os.kill(os.getpid(), 9)'
    ours, theirs = socket.socketpair()
    with theirs:
        popen = subprocess.Popen([sys.executable, '-c', script], stderr=subprocess.PIPE)
        log: list[LogLine] = []
        process = WorkerProcess(popen, ours, log.append)
    wait_until(lambda: popen.poll() is not None and log, 60.0, 'its end')
    assert process.close() == f'killed by SIGKILL, as the kernel does when memory runs out{words}'


def test_what_cannot_be_loaded_is_a_sentence(started: Started) -> None:
    started.process.send(LOAD)
    failed = [said for said in _said(started) if isinstance(said, Failed)]
    assert len(failed) == 1
    assert "model '/nowhere' does not exist" in failed[0].detail
    assert not failed[0].may_pass


def _said(started: Started) -> Iterator[object]:
    for message in started.process.messages():
        yield message
        if isinstance(message, Failed):
            return
