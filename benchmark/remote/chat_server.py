"""llama-cpp-python's server in a process of its own, from an environment of its own."""

import contextlib
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_START_S = 120.0


@dataclass(frozen=True)
class ChatServer:
    """A server that answers.

    Arguments:
        port: on loopback.
        pid: of its process.
    """

    port: int
    pid: int


@contextlib.contextmanager
def chat_server(
    python: str, model: Path, threads: int, log: Path, context_tokens: int = 4096
) -> Iterator[ChatServer]:
    """Run a server, and end it.

    Arguments:
        python: an interpreter that has llama-cpp-python[server].
        model: a GGUF file.
        threads: of its inference.
        log: takes what it prints.
        context_tokens: a prompt and its answer have at most so many.

    Raises:
        RuntimeError: it does not start.
    """
    port = free_port()
    script = Path(__file__).with_name('llama_server.py')
    command = [python, str(script), '--model', str(model), '--host', '127.0.0.1']
    command += ['--port', str(port), '--n_ctx', str(context_tokens), '--n_threads', str(threads)]
    command += ['--n_threads_batch', str(threads), '--interrupt_requests', 'false']
    # The node's environment is no matter of the server's: its packages are others.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(('PYTHON', 'LD_'))}
    with log.open('wb') as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=subprocess.STDOUT, env=environment
        )
    try:
        _wait_until_it_answers(process, port, log)
        yield ChatServer(port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """Return a port on loopback that nothing listens at."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_until_it_answers(
    process: 'subprocess.Popen[bytes]', port: int, log: Path
) -> None:
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
