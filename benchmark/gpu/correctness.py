"""Whether a device computes what the CPU computes, in everything that the engine does there."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch

from benchmark.gpu.comparison import Outcome, compared
from benchmark.gpu.scenarios import (
    CHUNKS,
    NEVER,
    PATIENT_TOKENS,
    SCENARIOS,
    URGENT_TOKENS,
    Prompts,
)
from benchmark.gpu.targets import KINDS, rounded_target, tiny_target
from benchmark.gpu.tell import Tell, guarded, sentence
from timebill_ros.inference.cache.kv_cache import KVCache
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.loading.device_choice import choose_dtype
from timebill_ros.inference.loading.model_loader import TargetModel, load_target
from timebill_ros.inference.loading.model_source import BUILT_IN, locate
from timebill_ros.inference.step.decoding_step import DecodingStep
from timebill_ros.inference.step.generic_step import GenericStep
from timebill_ros.inference.step.graph_step import GraphStep

SETTINGS = DecodingSettings(repetition_penalty=1.1, stop_at_repetition=False)
SEED = 20261127
TINY_BUCKET, GRAPH_CAPACITY = 64, 512
FORCED_TOKENS = 16
CPU = torch.device('cpu')


def check_all(device: torch.device, tell: Tell, kinds: Sequence[str] = KINDS) -> None:
    """Compare each kind of tiny model, and the built-in model.

    Arguments:
        kinds: transformers' names of architectures.
    """
    for kind in kinds:
        guarded(tell, partial(_check_tiny, kind, device, tell), kind, 'is')
    guarded(tell, partial(_check_built_in, device, tell), BUILT_IN, 'is')


def _check_tiny(kind: str, device: torch.device, tell: Tell) -> str:
    reference = tiny_target(kind, CPU, torch.float32)
    target = tiny_target(kind, device, torch.float32)
    steps = _steps(target, TINY_BUCKET, tell)
    check(reference, target, steps, tell)
    dtype = torch.bfloat16 if device.type == 'cpu' else choose_dtype('auto', device)
    rounded = tiny_target(kind, device, dtype)
    steps = _steps(rounded, TINY_BUCKET, tell)
    check_rounded(rounded_target(kind, dtype), rounded, steps, tell)
    return 'compared'


def _check_built_in(device: torch.device, tell: Tell) -> str:
    try:
        locate(BUILT_IN)
    except ValueError as error:
        return f'left out: {error}'
    reference = load_target(BUILT_IN, 'cpu', 'float32', 'none')
    target = load_target(BUILT_IN, str(device), 'float32', 'none')
    reference = replace(reference, stop_token_ids=frozenset())  # answers are not to end
    target = replace(target, stop_token_ids=frozenset())
    check(reference, target, _steps(target, 256, tell), tell)
    return 'compared'


def _steps(target: TargetModel, bucket_tokens: int, tell: Tell) -> dict[str, DecodingStep]:
    """Return the steps that serve a model on its device; on a CPU, nothing is recorded."""
    steps: dict[str, DecodingStep] = {'generic': GenericStep(target.model)}
    layers = KVCache(target.model.config, 1, lambda: None).layers
    if not any(layer.is_sliding for layer in layers):
        path = (target.name, 'graph', f'recorded, {_short(target.dtype)}')
        try:
            steps['graph'] = GraphStep(target.model, bucket_tokens, GRAPH_CAPACITY)
        except Exception as error:  # the generic step can be compared all the same
            tell({'failed': sentence(error)}, *path)
    return steps


def check(
    reference: TargetModel, target: TargetModel, steps: dict[str, DecodingStep], tell: Tell
) -> None:
    """Compare all scenarios with each step, in fp32.

    Arguments:
        reference: the same weights on the CPU.
    """
    prompts = random_prompts(target)
    on_cpu = Engine(reference, SETTINGS, step=GenericStep(reference.model))
    for scenario, run in SCENARIOS.items():
        expected = run(on_cpu, prompts)
        for name, step in steps.items():
            ours = partial(run, Engine(target, SETTINGS, step=step), prompts)
            found = partial(_compared, ours, expected, torch.float32)
            guarded(tell, found, target.name, name, scenario)


def check_rounded(
    reference: TargetModel, target: TargetModel, steps: dict[str, DecodingStep], tell: Tell
) -> None:
    """Compare logits in 16 bits.

    Arguments:
        reference: the same weights in fp32 on the CPU.
    """
    prompts = random_prompts(target)
    on_cpu = Engine(reference, SETTINGS, step=GenericStep(reference.model))
    for chunks, how in ((None, 'whole'), (CHUNKS, 'in chunks')):
        expected = forced(on_cpu, prompts, chunks)
        for name, step in steps.items():
            ours = partial(forced, Engine(target, SETTINGS, step=step), prompts, chunks)
            found = partial(_compared, ours, expected, target.dtype)
            guarded(tell, found, target.name, name, f'{how}, {_short(target.dtype)}')


def _compared(
    run: Callable[[], list[Outcome]], expected: list[Outcome], dtype: torch.dtype
) -> dict[str, Any]:
    return asdict(compared(run(), expected, dtype))


def forced(engine: Engine, prompts: Prompts, chunks: Any) -> list[Outcome]:
    """Return the logits behind each of some tokens that follow the patient prompt.

    Tokens that are chosen would soon differ in 16 bits, and nothing could be compared.
    """
    newer = prompts.urgent[:FORCED_TOKENS]
    prefilled = engine.prefill(prompts.patient, FORCED_TOKENS, NEVER, chunks)
    found = [prefilled.logits]
    with engine.step.answering(prefilled.cache, PATIENT_TOKENS, FORCED_TOKENS) as step:
        for token in newer[:-1]:
            on_device = torch.tensor(token, device=engine.target.device)
            found.append(step.logits(on_device).clone())
    return [Outcome(newer, torch.stack(found).to('cpu', torch.float32))]


def random_prompts(target: TargetModel) -> Prompts:
    """Return two prompts of a model's ordinary tokens."""
    vocabulary = int(target.model.get_input_embeddings().num_embeddings)
    generator = torch.Generator().manual_seed(SEED)

    def ids(tokens: int) -> list[int]:
        return torch.randint(3, vocabulary, (tokens,), generator=generator).tolist()

    return Prompts(ids(PATIENT_TOKENS), ids(URGENT_TOKENS))


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix('torch.')
