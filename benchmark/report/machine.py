"""Describes the machine and the versions; every benchmark's JSON has this."""

import importlib.metadata
import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import psutil
import torch

_PACKAGES = ('torch', 'transformers', 'tokenizers', 'numpy', 'ros-rclpy', 'ros-fastdds')
_SOURCE = Path(__file__).parents[2]


def describe_machine() -> dict[str, object]:
    """Return the machine, its load at this moment, and the versions of what runs on it."""
    return {
        'date': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        'cpu': _cpu_name(),
        'cores': len(os.sched_getaffinity(0)),
        'torch_threads': torch.get_num_threads(),
        'gpu': torch.cuda.get_device_name() if torch.cuda.is_available() else '',
        'memory_gib': round(psutil.virtual_memory().total / 2**30, 1),
        'load_average_1_min': round(os.getloadavg()[0], 2),
        'kernel': platform.release(),
        'versions': {
            'python': platform.python_version(),
            **{name: _version(name) for name in _PACKAGES},
            'timebill_ros': _commit(),
        },
    }


def _cpu_name() -> str:
    cpuinfo = Path('/proc/cpuinfo')
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.machine()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ''


def _commit() -> str:
    """Return the source's commit, '-dirty' behind it if files have been changed since."""
    try:
        return subprocess.run(
            ['git', 'describe', '--always', '--dirty', '--abbrev=12'],
            cwd=_SOURCE,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ''
