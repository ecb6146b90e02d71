"""How long work takes on a device, and how fast the device moves bytes."""

import time
from collections.abc import Callable

import torch

COPIED_BYTES = 1 << 30
_COPIES = 10


def synchronize(device: torch.device) -> None:
    """Wait until the device has nothing left to do."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def device_s(device: torch.device, run: Callable[[], object]) -> float:
    """Return the time between two events on the device, around what is run; on a CPU, its time."""
    synchronize(device)
    if device.type != 'cuda':
        start_s = time.perf_counter()
        run()
        return time.perf_counter() - start_s
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    run()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1000


def wall_s(device: torch.device, run: Callable[[], object]) -> float:
    """Return how long something takes until the device has finished it."""
    synchronize(device)
    start_s = time.perf_counter()
    run()
    synchronize(device)
    return time.perf_counter() - start_s


def copy_bytes_per_s(device: torch.device, copied_bytes: int = COPIED_BYTES) -> float:
    """Return how fast the device copies within its memory: bytes read and bytes written."""
    source = torch.ones(copied_bytes // 4, device=device)
    copy = torch.empty_like(source)
    copy.copy_(source)
    best_s = min(device_s(device, lambda: copy.copy_(source)) for _ in range(_COPIES))
    return 2 * source.nbytes / best_s


def describe_device(device: torch.device) -> dict[str, object]:
    """Return what the device is."""
    if device.type != 'cuda':
        return {'name': device.type}
    properties = torch.cuda.get_device_properties(device)
    return {
        'name': properties.name,
        'capability': f'{properties.major}.{properties.minor}',
        'memory_gb': round(properties.total_memory / 1e9, 2),
        'multiprocessors': properties.multi_processor_count,
        'shares_memory_with_cpu': bool(getattr(properties, 'is_integrated', False)),
        'cuda': torch.version.cuda,
    }
