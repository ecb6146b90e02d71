"""The native prefill, against transformers' modules: instruction sets, families, chunks, cuts."""

import copy
import dataclasses
import time

import gguf
import pytest
import torch
from transformers import AutoModelForCausalLM

from support.random_blocks import FORMATS, random_blocks
from support.tiny_models import (
    NEVER,
    SLIDING_WINDOW,
    random_prompt,
    target_of,
    tiny_model,
    wide_model,
)
from timebill_ros.core.deadline import Deadline
from timebill_ros.inference.cache.kv_cache import KVCache
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.interrupt import Interrupt, InterruptedGenerationError
from timebill_ros.inference.length.prefill_states import PrefillStates
from timebill_ros.inference.loading.gguf_codes import quantized
from timebill_ros.inference.native_prefill import NativePrefill
from timebill_ros.inference.step import decoder_library
from timebill_ros.inference.step.generic_step import GenericStep
from timebill_ros.inference.step.native_step import NativeStep
from timebill_ros.inference.step.packed_weight import PackedWeight, packed

SETS = decoder_library.instruction_sets()
FAMILIES = ('llama', 'qwen2', 'qwen3', 'mistral-sliding')
TOKENS = 150


def engine(architecture, step=None, dtype=torch.float32):
    model = tiny_model.__wrapped__(architecture).to(dtype)
    target = dataclasses.replace(target_of(architecture, model), dtype=dtype)
    return Engine(target, DecodingSettings(), step=step(model))


def chunked(size):
    return [(start, min(start + size, TOKENS)) for start in range(0, TOKENS, size)]


def relative_error(found, expected):
    return float((found.float() - expected.float()).norm() / expected.float().norm())


def worst_error(found, expected):
    """Return the largest relative error of logits, keys, values and observed queries."""
    pairs = [(found.logits, expected.logits)]
    for index, (a, b) in enumerate(zip(found.cache.layers, expected.cache.layers, strict=True)):
        assert a.length == b.length == TOKENS
        pairs.append((a.keys[:, :, :TOKENS], b.keys[:, :, :TOKENS]))
        pairs.append((a.values[:, :, :TOKENS], b.values[:, :, :TOKENS]))
        pairs.append((found.observed[index].queries, expected.observed[index].queries))
    return max(relative_error(a, b) for a, b in pairs)


@pytest.mark.parametrize('size', [1, 2, 7, 64, 512])
@pytest.mark.parametrize('rank', range(len(SETS)), ids=SETS)
@pytest.mark.parametrize('architecture', FAMILIES)
def test_fp32_is_the_generic_prefill(architecture, rank, size):
    ids = random_prompt(TOKENS)
    expected = engine(architecture, GenericStep).prefill(ids, 4, NEVER)
    native = engine(architecture, lambda model: NativeStep(model, {}, 1 + size % 3, rank))
    assert worst_error(native.prefill(ids, 4, NEVER, chunked(size)), expected) < 1e-4


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize('size', [7, 512])
@pytest.mark.parametrize('rank', range(len(SETS)), ids=SETS)
@pytest.mark.parametrize('architecture', FAMILIES)
def test_sums_are_those_of_what_the_observed_queries_see(architecture, rank, size, dtype):
    native = engine(architecture, lambda model: NativeStep(model, {}, 2, rank), dtype)
    prefilled = native.prefill(random_prompt(TOKENS), 4, NEVER, chunked(size))
    for index, layer in enumerate(prefilled.cache.layers):
        seen = prefilled.observed[index]
        heads, window, head_dim = seen.queries.shape
        grouped = seen.queries.float().view(2, -1, head_dim)
        scores = grouped @ layer.keys[0, :, :TOKENS].float().mT * seen.scaling
        positions = torch.arange(TOKENS)
        distance = positions[-window:, None] - positions
        reach = SLIDING_WINDOW if layer.is_sliding else TOKENS
        is_seen = (distance >= 0) & (distance < reach)
        scores = scores.view(heads, window, TOKENS).masked_fill(~is_seen, float('-inf'))
        expected = scores.logsumexp(-1)
        # Of bf16 queries, the library may multiply what they were before they were rounded.
        error = 1e-4 if dtype == torch.float32 else 0.05
        torch.testing.assert_close(seen.log_sums, expected, rtol=0.0, atol=error)


@pytest.mark.parametrize('size', [7, 64, 512])
@pytest.mark.parametrize('rank', range(len(SETS)), ids=SETS)
@pytest.mark.parametrize('architecture', FAMILIES)
def test_bf16_is_as_near_to_fp32_as_the_generic_prefill(architecture, rank, size):
    ids = random_prompt(TOKENS)
    exact = engine(architecture, GenericStep).prefill(ids, 4, NEVER)
    generic = engine(architecture, GenericStep, torch.bfloat16).prefill(ids, 4, NEVER)
    native = engine(
        architecture, lambda model: NativeStep(model, {}, 2, rank), torch.bfloat16
    ).prefill(ids, 4, NEVER, chunked(size))
    assert worst_error(native, exact) < 1.2 * worst_error(generic, exact)


@pytest.mark.parametrize('factor', [1, 300], ids=['usual gates', 'gates of hundreds'])
@pytest.mark.parametrize('rank', range(len(SETS)), ids=SETS)
def test_bf16_of_many_columns_is_as_near_to_fp32_as_the_generic_prefill(rank, factor):
    # So many columns meet the tokens part by part, and e to the power of such a gate overflows.
    config = copy.deepcopy(tiny_model('llama').config)
    config.intermediate_size = 1216
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    for layer in model.model.layers:
        layer.mlp.gate_proj.weight.data *= factor
    ids, target = random_prompt(TOKENS), target_of('llama', model)
    exact = Engine(target, DecodingSettings(), step=GenericStep(model)).prefill(ids, 4, NEVER)
    model = copy.deepcopy(model).bfloat16()
    target = dataclasses.replace(target_of('llama', model), dtype=torch.bfloat16)
    generic, native = (
        Engine(target, DecodingSettings(), step=step).prefill(ids, 4, NEVER)
        for step in (GenericStep(model), NativeStep(model, {}, 2, rank))
    )
    assert worst_error(native, exact) < 1.2 * worst_error(generic, exact)


@pytest.mark.parametrize('rank', range(len(SETS)), ids=SETS)
@pytest.mark.parametrize('kind', FORMATS, ids=lambda kind: kind.name)
def test_each_format_is_read_as_the_same_weights_made_plain(kind, rank):
    ids, weights = random_prompt(TOKENS), {}
    plain, other = wide_model(), wide_model()
    for index, (name, module) in enumerate(plain.named_modules()):
        if isinstance(module, torch.nn.Linear):
            data = random_blocks(module.out_features, module.in_features, kind, index)
            weights[name] = packed(quantized(data, kind))
            values = torch.from_numpy(gguf.dequantize(data, kind).copy())
            module.weight = torch.nn.Parameter(values)
    target = target_of('llama', plain)
    expected = Engine(target, DecodingSettings(), step=GenericStep(plain)).prefill(ids, 4, NEVER)
    step = NativeStep(other, weights, 2, rank)  # the plain weights are not to be read
    found = Engine(target, DecodingSettings(), step=step).prefill(ids, 4, NEVER)
    assert worst_error(found, expected) < 1e-4


@pytest.mark.parametrize('rank', range(len(SETS)), ids=SETS)
def test_plain_weights_of_float16_are_read_as_they_are(rank):
    model, ids, weights = tiny_model.__wrapped__('qwen3'), random_prompt(TOKENS), {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            halves = module.weight.detach().half()
            weights[name] = PackedWeight('float16', *halves.shape, halves)
            module.weight = torch.nn.Parameter(halves.float())
    target = target_of('qwen3', model)
    expected = Engine(target, DecodingSettings(), step=GenericStep(model)).prefill(ids, 4, NEVER)
    step = NativeStep(model, weights, 2, rank)
    found = Engine(target, DecodingSettings(), step=step).prefill(ids, 4, NEVER)
    assert worst_error(found, expected) < 1e-4


@pytest.mark.parametrize('layer', [1, 2])
def test_an_abort_between_layers_leaves_the_lengths(layer):
    model, ids = tiny_model('llama'), torch.tensor(random_prompt(40))
    cache, interrupt = KVCache(model.config, 40, lambda: None), Interrupt(Deadline(float('inf')))
    prefill = NativePrefill(NativeStep(model, {}, 2), model, cache, 40, interrupt)
    states = PrefillStates(model, (layer,), 40, lambda _: interrupt.abort.set())
    with states.reading(), pytest.raises(InterruptedGenerationError):
        prefill.read(ids, 0)
    assert [cached.length for cached in cache.layers] == [0, 0, 0]


def test_a_deadline_on_the_monotonic_clock_is_seen_by_the_library():
    model, ids = tiny_model('llama'), torch.tensor(random_prompt(40))
    at_s = time.monotonic() + 0.2
    cache, interrupt = KVCache(model.config, 40, lambda: None), Interrupt(Deadline(at_s))

    def wait(_):
        while time.monotonic() <= at_s:
            time.sleep(0.01)

    prefill = NativePrefill(NativeStep(model, {}, 2), model, cache, 40, interrupt)
    with (
        PrefillStates(model, (1,), 40, wait).reading(),
        pytest.raises(InterruptedGenerationError),
    ):
        prefill.read(ids, 0)
    assert Interrupt(Deadline(5.0, lambda: 0.0)).at_ns == decoder_library.NEVER_NS


def test_whoever_measures_learns_how_long_nobody_looked():
    class Measuring(Interrupt):
        def was_checked(self, longest_s):
            found.append(longest_s)

    found = []
    native = engine('llama', lambda model: NativeStep(model, {}, 2))
    start_s = time.perf_counter()
    native.prefill(random_prompt(TOKENS), 4, Measuring(Deadline(float('inf'))), chunked(64))
    assert len(found) == 3
    assert all(longest_s > 0.0 for longest_s in found)
    assert sum(found) < time.perf_counter() - start_s
