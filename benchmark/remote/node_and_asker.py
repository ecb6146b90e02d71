"""The node with a remote engine, and an asker."""

from collections.abc import Iterator
from contextlib import contextmanager

from benchmark.deadlines.node_process import running_node
from benchmark.remote.asker import Asker, running_asker

WARM_UP = 'The gripper is closed and the cup is on the table. What is the next action?'


@contextmanager
def node_and_asker(url: str, model: str) -> Iterator[Asker]:
    """Run both; the node's own model has one thread.

    Arguments:
        url: of the remote engine's API.
        model: its name in requests.
    """
    values = {
        'remote_policy': 'prefer',
        'remote_url': url,
        'remote_model': model,
        'remote_timeout': 3.0,
        'threads': 1,
    }
    arguments = [part for name, value in values.items() for part in ('-p', f'{name}:={value}')]
    with running_node({}, arguments), running_asker() as asker:
        asker.wait_until_served(WARM_UP)
        yield asker
