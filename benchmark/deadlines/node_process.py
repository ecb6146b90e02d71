"""Context managers: the node in its own process, and a process that keeps the CPU busy."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

_HOG = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1000000):
        pass
"""


def private_domain() -> dict[str, str]:
    """Return the environment of a ROS domain that other processes are unlikely to use."""
    # Domains up to 101 keep their ports clear of those that Linux hands out.
    return {
        'ROS_DOMAIN_ID': str(1 + os.getpid() % 101),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
    }


@contextlib.contextmanager
def running_node(
    environment: dict[str, str], arguments: Sequence[str] = (), keeps_prompts: bool = False
) -> 'Iterator[subprocess.Popen[bytes]]':
    """Run the node with its built-in model; end it as Ctrl-C would.

    Arguments:
        environment: added to this process's.
        arguments: what stands behind --ros-args.
        keeps_prompts: what is read of prompts is kept, as by default. Not where arms ask the same
            prompts: the first would read them for all others.
    """
    kept = () if keeps_prompts else ('-p', 'prefix_cache_mb:=0')
    command = [sys.executable, '-m', 'timebill_ros.node', '--ros-args', *kept, *arguments]
    process = subprocess.Popen(command, env={**os.environ, **environment})
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def cpu_hog() -> Iterator[None]:
    """Keep every core busy with a process at the priority of the node and the asker."""
    hogs = [
        subprocess.Popen([sys.executable, '-c', _HOG]) for _ in range(len(os.sched_getaffinity(0)))
    ]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
