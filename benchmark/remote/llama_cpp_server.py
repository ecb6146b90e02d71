"""llama-cpp-python's server with a GGUF file."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmark.remote.chat_server import ChatServer, free_port, server_process

_IDLE = 0.3
"""A server that uses less of a core is idle."""


@contextlib.contextmanager
def llama_cpp_server(
    python: str, model: Path, log: Path, threads: int = 1, context_tokens: int = 4096
) -> Iterator[ChatServer]:
    """Run a server.

    Arguments:
        python: an interpreter that has llama-cpp-python[server].
        model: a GGUF file.
        log: takes what it prints.
        threads: of its inference.
        context_tokens: a prompt and its answer have at most so many.

    Raises:
        RuntimeError: it does not start.
    """
    port = free_port()
    script = Path(__file__).with_name('llama_server.py')
    command = [python, str(script), '--model', str(model), '--host', '127.0.0.1']
    command += ['--port', str(port), '--n_ctx', str(context_tokens), '--n_threads', str(threads)]
    command += ['--n_threads_batch', str(threads), '--interrupt_requests', 'false']
    with server_process(command, port, log) as process:
        yield ChatServer(port, 'model', lambda: _is_idle(process.pid))


def _is_idle(pid: int) -> bool:
    process = psutil.Process(pid)
    before = process.cpu_times()
    time.sleep(1.0)
    after = process.cpu_times()
    return bool(after.user - before.user < _IDLE)
