"""Measures CPU and memory of the idle node process."""

import time

import psutil


def measure_idle(pid: int, duration_s: float = 20.0) -> dict[str, float]:
    """Return CPU and memory of the node's process; the worker process is not in it.

    cpu_percent is that of one core; rss_mb the resident memory, shared libraries included.

    Arguments:
        duration_s: how long to look [s].
    """
    process = psutil.Process(pid)
    before, start_s = process.cpu_times(), time.monotonic()
    time.sleep(duration_s)
    after, end_s = process.cpu_times(), time.monotonic()
    used_s = after.user + after.system - before.user - before.system
    return {
        'cpu_percent': round(100.0 * used_s / (end_s - start_s), 2),
        'rss_mb': round(process.memory_info().rss * 1e-6, 1),
        'duration_s': round(end_s - start_s, 1),
    }
