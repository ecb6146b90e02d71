"""How much memory keys and values take, and how much there is."""

import math
from pathlib import Path

import torch

from timebill_ros.core.deadline import Deadline
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.interrupt import Interrupt

_SHARE = 0.8
"""Of the free memory; the rest is for what a prefill computes, and for others on the machine."""
_GROUP = Path('/sys/fs/cgroup')
_MEMINFO = Path('/proc/meminfo')


def token_bytes(engine: Engine) -> int:
    """Return what the keys and values of a token take [bytes].

    Arguments:
        engine: used by no one else meanwhile.
    """
    return engine.prefill([0], 1, Interrupt(Deadline(math.inf))).cache.nbytes // 2


def room_tokens(engine: Engine, bytes_per_token: int) -> int:
    """Return for how many tokens there is room in caches, while no query has begun.

    Prompts that are going to be kept need some of the free memory too. At least 1: 0 would mean
    that it is not known.

    Arguments:
        bytes_per_token: of token_bytes().
    """
    prefixes = engine.prefixes
    to_be_kept = max(0, prefixes.limit_bytes - prefixes.nbytes)
    left_bytes = _SHARE * free_bytes(engine.target.device) - to_be_kept
    return max(1, int(left_bytes) // bytes_per_token)


def free_bytes(device: torch.device, meminfo: Path = _MEMINFO, group: Path = _GROUP) -> int:
    """Return how much memory a device has left [bytes].

    Arguments:
        meminfo, group: where Linux tells of the machine's memory and of the container's bound.
    """
    if device.type == 'cuda':
        free, _ = torch.cuda.mem_get_info(device)
        if torch.cuda.get_device_properties(device).is_integrated:
            # It shares the machine's memory (Jetson), and does not count what files have taken
            # that were read, such as the model's.
            free = max(free, _left_to_machine(meminfo, group))
        reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + reserved)
    return _left_to_machine(meminfo, group)


def _left_to_machine(meminfo: Path, group: Path) -> int:
    lines = dict(line.split(':', 1) for line in meminfo.read_text().splitlines())
    available = 1024 * int(lines['MemAvailable'].split()[0])
    return min(available, _left_to_group(group))


def _left_to_group(group: Path) -> int:
    """Return what the container may still take [bytes]; a very large number: it has no bound."""
    unbounded = 1 << 62
    try:
        most = (group / 'memory.max').read_text().strip()
        if most == 'max':
            return unbounded
        stat = dict(line.split() for line in (group / 'memory.stat').read_text().splitlines())
        used = int((group / 'memory.current').read_text())
    except (OSError, ValueError):
        return unbounded
    # Files that were read are forgotten when memory is needed.
    return int(most) - used + int(stat.get('inactive_file', 0))
