"""A real server in a process of its own, from an environment of its own."""

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_START_S = 400.0
_STOP_S = 20.0


@dataclass(frozen=True)
class ChatServer:
    """A server that answers.

    Arguments:
        port: on loopback.
        model: the name of its model in requests.
        is_idle: looks whether it answers nothing; may take a second.
    """

    port: int
    model: str
    is_idle: Callable[[], bool]


@contextlib.contextmanager
def server_process(
    command: Sequence[str], port: int, log: Path, **environment: str
) -> 'Iterator[subprocess.Popen[bytes]]':
    """Run a server, and end it with all its processes.

    Arguments:
        command: starts it.
        port: that it answers at, on loopback.
        log: takes what it prints.
        environment: added to this process's.

    Raises:
        RuntimeError: it does not start.
    """
    # The node's environment is no matter of the server's: its packages are others.
    own = {k: v for k, v in os.environ.items() if not k.startswith(('PYTHON', 'LD_'))}
    with log.open('wb') as stream:
        process = subprocess.Popen(
            command,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**own, **environment},
            start_new_session=True,
        )
    try:
        _wait_until_it_answers(process, port, log)
        yield process
    finally:
        _end(process)


def free_port() -> int:
    """Return a port on loopback that nothing listens at."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_until_it_answers(process: 'subprocess.Popen[bytes]', port: int, log: Path) -> None:
    end_s = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < end_s:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f'http://127.0.0.1:{port}/v1/models', timeout=1.0),
        ):
            return
        time.sleep(0.2)
    last = log.read_text(errors='replace').strip().splitlines()[-1:]
    raise RuntimeError(f'the server does not start: {" ".join(last)}')


def _end(process: 'subprocess.Popen[bytes]') -> None:
    """End the server's process group: vLLM's engine is a process of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_STOP_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
