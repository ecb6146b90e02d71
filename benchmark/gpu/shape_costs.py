"""What a random model of a real size costs on a device: memory, prefill, steps, aborts."""

import gc
import statistics
import time
from dataclasses import asdict
from functools import partial
from typing import Any

import torch

from benchmark.gpu.device_time import copy_bytes_per_s, wall_s
from benchmark.gpu.generate import generate_cost
from benchmark.gpu.kill_latency import kill_latency
from benchmark.gpu.scenarios import NEVER
from benchmark.gpu.step_cost import kernels, random_ids, step_cost
from benchmark.gpu.targets import Shape, random_target
from benchmark.gpu.tell import Tell, guarded, is_out_of_memory
from timebill_ros.inference.cache_memory import free_bytes
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.loading.device_choice import choose_dtype
from timebill_ros.inference.loading.model_loader import TargetModel
from timebill_ros.inference.profiler import Measurements, Profiler
from timebill_ros.inference.step.decoding_step import DecodingStep
from timebill_ros.inference.step.generic_step import GenericStep
from timebill_ros.inference.step.graph_step import GraphStep

LENGTHS = (512, 2048)
PREFILLS = 3
PROFILED_LENGTHS, PROFILED_ROUNDS = (24, 96, 384, 1024, 2048), 3
CAP_BYTES = 8 * 1000**3
"""What the smallest Jetson has that is of use."""
_BESIDE_WEIGHTS = 1.1
_SETTINGS = DecodingSettings(stop_at_repetition=False)


def measure_shape(
    shape: Shape,
    device: torch.device,
    tell: Tell,
    lengths: tuple[int, ...] = LENGTHS,
    profiled: tuple[int, ...] = PROFILED_LENGTHS,
    copied_bytes: int = 1 << 30,
) -> None:
    """Measure all of it, under a cap of 8 GB if it fits below.

    Arguments:
        lengths: of the prompts [tokens].
        profiled: lengths for the time model [tokens].
        copied_bytes: to measure the memory's bandwidth.
    """
    dtype = choose_dtype('auto', device)
    tell(str(dtype).removeprefix('torch.'), shape.name, 'dtype')
    bandwidth = copy_bytes_per_s(device, copied_bytes)
    tell(bandwidth / 1e9, shape.name, 'copy_gb_per_s')
    needed, free = shape.weights_bytes(dtype) * _BESIDE_WEIGHTS, free_bytes(device)
    if needed > free:
        tell(
            f'its weights need {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free',
            *(shape.name, 'skipped'),
        )
        return
    fits = needed < CAP_BYTES
    if fits:
        _cap(device, CAP_BYTES)
        lacks: list[bool] = []

        def watched(value: Any, *path: str) -> None:
            lacks.append(is_out_of_memory(value))
            tell(value, *path)

        try:
            _measure(shape, device, dtype, bandwidth, watched, lengths, profiled)
            fits = not any(lacks)
        except torch.OutOfMemoryError:
            fits = False
    tell(fits, shape.name, 'fits_8_gb')
    if not fits:
        _cap(device, None)
        _measure(shape, device, dtype, bandwidth, tell, lengths, profiled)


def _measure(
    shape: Shape,
    device: torch.device,
    dtype: torch.dtype,
    bandwidth: float,
    tell: Tell,
    lengths: tuple[int, ...],
    profiled: tuple[int, ...],
) -> None:
    name = shape.name
    start_s = time.perf_counter()
    target = random_target(shape, device, dtype)
    tell(time.perf_counter() - start_s, name, 'made_s')
    weights = sum(parameter.nbytes for parameter in target.model.parameters())
    tell(weights, name, 'weights_bytes')
    generic = Engine(target, _SETTINGS, step=GenericStep(target.model))
    generic.prefill(random_ids(generic, lengths[0]), 1, NEVER)  # warms up
    steps: dict[str, DecodingStep] = {}
    guarded(tell, lambda: _recorded(target, steps), name, 'recording')
    engines = {key: Engine(target, _SETTINGS, step=step) for key, step in steps.items()}
    engine = engines.get('graph', generic)
    for length in lengths:
        guarded(tell, partial(_prefill, engine, length), name, 'prefill', str(length))
    both = {**engines, 'generic': generic}
    for key, each in both.items():
        for length in lengths:
            cost = partial(step_cost, each, length, bandwidth)
            guarded(tell, cost, name, 'step', key, str(length))
    guarded(tell, lambda: kill_latency(engine, lengths[-1]), name, 'kill')
    guarded(tell, lambda: _time_model(engine, profiled), name, 'time_model')
    guarded(tell, lambda: _peak(device), name, 'peak')
    for length in lengths:
        guarded(tell, partial(generate_cost, engine, length), name, 'generate', str(length))
    for key, each in both.items():  # last: a profiler slows what follows
        guarded(tell, partial(kernels, each, lengths[0]), name, 'kernels', key)


def _recorded(target: TargetModel, steps: dict[str, DecodingStep]) -> dict[str, Any]:
    """Record the graphs; on a CPU, nothing is recorded."""
    reserved = _reserved(target.device)
    start_s = time.perf_counter()
    step = GraphStep(target.model)
    seconds = time.perf_counter() - start_s
    steps['graph'] = step
    return {
        'seconds': seconds,
        'graphs': step.graphs,
        'static_cache_bytes': step.nbytes,
        'graph_bytes': max(0, _reserved(target.device) - reserved - step.nbytes),
    }


def _prefill(engine: Engine, length: int) -> dict[str, Any]:
    ids = random_ids(engine, length)
    engine.prefill(ids, 1, NEVER)
    device = engine.target.device
    seconds = [wall_s(device, lambda: engine.prefill(ids, 1, NEVER)) for _ in range(PREFILLS)]
    return {'seconds': statistics.median(seconds), 'runs': seconds}


def _time_model(engine: Engine, lengths: tuple[int, ...]) -> dict[str, Any]:
    """Fit the time model as the profiler does, to fewer lengths."""
    profiler = Profiler(engine, 0.0)
    for length in lengths:
        profiler.measure_round(length, evicts=False)
    profiler.measurements = Measurements()  # that was to warm up
    for number in range(PROFILED_ROUNDS):
        for index, length in enumerate(lengths):
            profiler.measure_round(length + number, evicts=(index + number) % 2 == 1)
    fitted = profiler.measurements.fit()
    return {**asdict(fitted.model), 'prefill': asdict(fitted.prefill), 'step': asdict(fitted.step)}


def _cap(device: torch.device, most_bytes: int | None) -> None:
    """Let this process take no more of the device's memory; None: all of it."""
    gc.collect()
    if device.type == 'cuda':
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(device).total_memory
        share = 1.0 if most_bytes is None else min(1.0, most_bytes / total)
        torch.cuda.set_per_process_memory_fraction(share, device)
        torch.cuda.reset_peak_memory_stats(device)


def _reserved(device: torch.device) -> int:
    return torch.cuda.memory_reserved(device) if device.type == 'cuda' else 0


def _peak(device: torch.device) -> dict[str, int]:
    if device.type != 'cuda':
        return {}
    return {
        'allocated_bytes': torch.cuda.max_memory_allocated(device),
        'reserved_bytes': torch.cuda.max_memory_reserved(device),
    }
