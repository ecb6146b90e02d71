"""How many threads compute, if nobody says."""

import math
import os
from pathlib import Path

import torch

_CGROUPS = Path('/sys/fs/cgroup')
_OWN_CGROUP = Path('/proc/self/cgroup')


def default_threads(leaves_one: bool) -> int:
    """Return the number of threads for the inference.

    Arguments:
        leaves_one: leave a core to the robot's controllers, if there are more than two.
    """
    if os.environ.get('OMP_NUM_THREADS'):
        return torch.get_num_threads()
    cores = max(1, int(min(len(os.sched_getaffinity(0)), _quota_cores())))
    return cores - 1 if leaves_one and cores > 2 else cores


def _quota_cores() -> float:
    """Return how many cores' time this process may use, by its container; inf: all."""
    try:
        lines = _OWN_CGROUP.read_text().splitlines()
    except OSError:
        return math.inf
    own = next((line[3:] for line in lines if line.startswith('0::')), '/')
    folder = _CGROUPS / own.lstrip('/')
    # A container is often at the root of what it sees, and its limit one of the levels above.
    levels = [level for level in (folder, *folder.parents) if level.is_relative_to(_CGROUPS)]
    return min(map(_quota_of, levels), default=math.inf)


def _quota_of(folder: Path) -> float:
    try:
        quota, period = (folder / 'cpu.max').read_text().split()
        return math.inf if quota == 'max' else int(quota) / int(period)
    except (OSError, ValueError):
        return math.inf
