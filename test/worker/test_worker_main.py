"""The worker's main function in a process, with a fake in the place of what owns the model."""

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from timebill_ros.core.cpu_list import online_cpus
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.worker.child_process import pin_to
from timebill_ros.worker.log_line import LogLine
from timebill_ros.worker.protocol import Failed, FromWorker, Load
from timebill_ros.worker.worker_process import WorkerProcess

SCRIPT = """
import sys, types
class FakeQueryServer:
    def __init__(self, load, intake, send):
        exec({loading!r})
    def serve(self):
        exec({serving!r})
fake = types.ModuleType('timebill_ros.worker.query_server')
fake.QueryServer = FakeQueryServer
sys.modules['timebill_ros.inference'] = types.ModuleType('timebill_ros.inference')
sys.modules[fake.__name__] = fake
from timebill_ros.worker.__main__ import main
main()
"""
IDLE = 'import time; time.sleep(60)'


class Started:
    """A worker process that does as it is told while it loads and serves."""

    def __init__(self, loading: str = '', serving: str = IDLE, **settings: str) -> None:
        self.log: list[LogLine] = []
        ours, theirs = socket.socketpair()
        script = SCRIPT.format(loading=loading, serving=serving)
        self.popen = subprocess.Popen(
            [sys.executable, '-c', script, str(theirs.fileno()), str(os.getpid())],
            stderr=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self.process = WorkerProcess(self.popen, ours, self.log.append)
        self.process.send(Load(ModelSettings(model='m', **settings)))  # type: ignore[arg-type]

    def first_message(self) -> FromWorker:
        return next(self.process.messages())

    @property
    def visible_log(self) -> list[LogLine]:
        return [line for line in self.log if line.level > logging.DEBUG]


@pytest.fixture
def start() -> Iterator[type[Started]]:
    started: list[Started] = []

    class Noted(Started):
        def __init__(self, *arguments: str, **settings: str) -> None:
            super().__init__(*arguments, **settings)
            started.append(self)

    yield Noted
    for one in started:
        one.process.close()


def test_what_transformers_would_import_in_vain_counts_as_not_installed(
    start: type[Started],
) -> None:
    found = '[u.find_spec("scipy"), u.find_spec("sklearn"), u.find_spec("numpy").name]'
    message = start(f'import importlib.util as u; raise OSError(str({found}))').first_message()
    assert isinstance(message, Failed)
    assert "[None, None, 'numpy']" in message.detail


@pytest.mark.parametrize(
    ('loading', 'sentence'),
    [
        (
            "getattr(load, 'layers')",
            "model 'm' cannot be served (AttributeError: 'Load' object has no attribute 'layers')",
        ),
        ("{}['timebill']", "model 'm' cannot be served (KeyError: 'timebill')"),
        ('[][0]', "model 'm' cannot be served (IndexError: list index out of range)"),
        ('raise NotImplementedError', "model 'm' cannot be served (NotImplementedError)"),
        ("raise OSError(28, 'No space left on device', '/cache')", 'free some room'),
        ("open('/proc/self/mem/x')", "model 'm' cannot be loaded: [Errno 20] Not a directory"),
        ("raise MemoryError('bytes')", 'free some memory, or choose a smaller model'),
        ('import nonsense_of_torch', "(ModuleNotFoundError: No module named 'nonsense_of_torch')"),
    ],
)
def test_whatever_is_raised_while_loading_is_one_sentence(
    start: type[Started], loading: str, sentence: str
) -> None:
    started = start(loading)
    message = started.first_message()
    assert isinstance(message, Failed)
    assert sentence in message.detail
    assert not message.may_pass
    started.process.close()
    assert started.visible_log == []
    assert any('Traceback' in line.text for line in started.log)


def test_libraries_draw_no_progress_bars(start: type[Started]) -> None:
    loading = "import os; raise ValueError(os.environ['TQDM_DISABLE'])"
    assert start(loading).first_message() == Failed('1')


def test_what_may_pass_says_so(start: type[Started]) -> None:
    message = start("raise ConnectionError('no network')").first_message()
    assert message == Failed('no network', may_pass=True)


def test_a_fault_of_the_serving_thread_ends_the_process_with_a_sentence(
    start: type[Started],
) -> None:
    started = start('', "raise RuntimeError('CUDA error: device lost')")
    assert list(started.process.messages()) == []
    said = 'the inference has failed: RuntimeError: CUDA error: device lost'
    assert started.process.close() == f'exit status 1: {said}'
    assert started.visible_log == [LogLine(logging.ERROR, said)]


def test_the_inference_runs_on_the_cpus_of_the_parameter(start: type[Started]) -> None:
    cpu = max(online_cpus())
    started = start(
        'import threading; threading.Thread(target=threading.Event().wait, daemon=True)'
        ".start(); raise ValueError('loaded')",
        cpu_affinity=str(cpu),
    )
    assert started.first_message() == Failed('loaded')
    threads = [thread.id for thread in psutil.Process(started.popen.pid).threads()]
    assert len(threads) > 2
    assert {tuple(os.sched_getaffinity(thread)) for thread in threads} == {(cpu,)}


def test_cpus_that_cannot_be_had_are_a_sentence() -> None:
    before = os.sched_getaffinity(0)
    assert pin_to(()) == ''
    assert 'cannot be bound to the CPUs 9999 (cpu_affinity)' in pin_to([9999])
    assert os.sched_getaffinity(0) == before
