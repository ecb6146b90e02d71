"""What one decoding step costs: on the device, on the CPU, and in bytes."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from benchmark.gpu.device_time import device_s, synchronize
from benchmark.gpu.scenarios import NEVER
from timebill_ros.inference.cache_memory import token_bytes
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.step.decoding_step import DecodingStep
from timebill_ros.inference.step.graph_step import GraphStep

WARM_UP, STEPS, LAUNCHES = 4, 32, 8


def random_ids(engine: Engine, tokens: int) -> list[int]:
    """Return a prompt."""
    generator = torch.Generator().manual_seed(tokens)
    vocabulary = int(engine.target.model.config.vocab_size)
    return torch.randint(0, vocabulary, (tokens,), generator=generator).tolist()


def step_cost(engine: Engine, prompt_tokens: int, bytes_per_s: float) -> dict[str, Any]:
    """Return the costs of a step behind a prompt.

    - wall_ms: of a token as the engine writes it, the median.
    - device_ms: between two events around steps that are queued without waiting, a step.
    - launch_ms: in which the CPU queues a step on an idle device, the median.
    - bytes: of the weights, and of the keys and values that are attended to.
    - bandwidth_share: these bytes in device_ms, over the speed of a copy within the memory.
    """
    device = engine.target.device
    wall_s = _wall_s(engine, prompt_tokens)
    with _answering(engine, prompt_tokens) as (step, token):

        def queue() -> None:
            for _ in range(STEPS):
                step.logits(token)

        for _ in range(WARM_UP):
            step.logits(token)
        step_s = device_s(device, queue) / STEPS
        launches_s = []
        for _ in range(LAUNCHES):
            synchronize(device)
            start_s = time.perf_counter()
            step.logits(token)
            launches_s.append(time.perf_counter() - start_s)
    moved = step_bytes(engine, prompt_tokens + WARM_UP + STEPS // 2)
    return {
        'wall_ms': 1000 * statistics.median(wall_s),
        'device_ms': 1000 * step_s,
        'launch_ms': 1000 * statistics.median(launches_s),
        'bytes': moved,
        'bandwidth_share': moved / step_s / bytes_per_s,
        'steps': STEPS,
    }


def step_bytes(engine: Engine, cached_tokens: int) -> int:
    """Return what a step must read: all weights but unused rows of the embedding, and the cache.

    A recorded step reads the cache up to the end of its bucket.
    """
    model = engine.target.model
    weights = sum(parameter.nbytes for parameter in model.parameters())
    if not model.config.tie_word_embeddings:
        weights -= model.get_input_embeddings().weight.nbytes
    if isinstance(engine.step, GraphStep):
        cached_tokens = engine.step.attended_tokens(cached_tokens)
    return weights + cached_tokens * token_bytes(engine)


def kernels(engine: Engine, prompt_tokens: int) -> dict[str, int]:
    """Return how many kernels a step has, and how many times the CPU launches something."""
    device = engine.target.device
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == 'cuda':
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with _answering(engine, prompt_tokens) as (step, token):
        for _ in range(WARM_UP):
            step.logits(token)
        synchronize(device)
        with torch.profiler.profile(activities=activities) as profile:
            step.logits(token)
            synchronize(device)
    events = profile.events() or []
    on_device = torch._C._autograd.DeviceType.CUDA
    return {
        'kernels': sum(event.device_type == on_device for event in events),
        'launches': sum('Launch' in event.name for event in events),
    }


@contextmanager
def _answering(engine: Engine, prompt_tokens: int) -> Iterator[tuple[DecodingStep, torch.Tensor]]:
    """Begin an answer; yield what runs its steps, and a token for it."""
    room = WARM_UP + STEPS + LAUNCHES
    prefilled = engine.prefill(random_ids(engine, prompt_tokens), room, NEVER)
    with engine.step.answering(prefilled.cache, prompt_tokens, room) as step:
        yield step, prefilled.logits.argmax()


def _wall_s(engine: Engine, prompt_tokens: int) -> list[float]:
    tokens = WARM_UP + STEPS
    prefilled = engine.prefill(random_ids(engine, prompt_tokens), tokens, NEVER)
    times_s = []
    for _ in engine.decode(prefilled, tokens, NEVER):
        times_s.append(time.perf_counter())
    pairs = zip(times_s[WARM_UP:], times_s[WARM_UP - 1 :], strict=False)
    return [after - before for after, before in pairs]
