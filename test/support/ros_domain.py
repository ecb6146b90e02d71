"""A ROS domain of its own for each test, also beside other tests on the machine."""

import itertools
import socket
from collections import deque

_KEPT = 8
# Domains up to 101 keep their ports clear of those that Linux hands out; 0 is everybody's.
_LAST = 101
_domains = itertools.cycle(range(1, _LAST + 1))
_taken: deque[socket.socket] = deque()


def next_domain() -> int:
    """Return a ROS domain that no other test on this machine uses.

    A process keeps its last eight domains, and no longer than it lives. The abstract socket of a
    domain's name says that it is taken: like DDS's ports, it belongs to the network namespace.

    Raises:
        RuntimeError: all domains are taken.
    """
    if len(_taken) == _KEPT:
        _taken.popleft().close()
    for domain in itertools.islice(_domains, _LAST):
        name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            name.bind(f'\0timebill_ros test domain {domain}')
        except OSError:
            name.close()
            continue
        _taken.append(name)
        return domain
    raise RuntimeError(f'other tests use all {_LAST} ROS domains')
