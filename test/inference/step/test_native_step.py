"""The compiled step, against transformers' modules: every instruction set, format and family."""

import copy
from functools import cache

import gguf
import pytest
import torch

from support.random_blocks import FORMATS, random_blocks
from support.tiny_models import NEVER, random_prompt, tiny_model, tiny_target, wide_model
from timebill_ros.inference.cache.kv_cache import KVCache
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.inference.loading.gguf_codes import quantized
from timebill_ros.inference.loading.model_loader import BUILT_IN, load_target
from timebill_ros.inference.step import decoder_library, native_families
from timebill_ros.inference.step.decoding_step import decoding_step
from timebill_ros.inference.step.generic_step import GenericStep, forward
from timebill_ros.inference.step.native_step import NativeStep
from timebill_ros.inference.step.packed_weight import PackedWeight, packed

INSTRUCTION_SETS = decoder_library.instruction_sets()
PROMPT = 'List five things that a robot can do in a kitchen, and say why each is of use.'


def step_logits(model, step, ids, prompt_tokens):
    """Return (len(ids) - prompt_tokens, vocabulary): the step's logits after each token."""
    cache = KVCache(model.config, len(ids), lambda: None)
    forward(model, torch.tensor(ids[:prompt_tokens]), 0, cache)
    with step.answering(cache, prompt_tokens, len(ids)) as answering:
        return torch.stack(
            [answering.logits(torch.tensor(token)).clone() for token in ids[prompt_tokens:]]
        )


def relative_error(found, expected):
    return float((found - expected).norm() / expected.norm())


def test_the_library_is_built_and_used():
    assert INSTRUCTION_SETS[-1] in ('baseline', 'neon')
    assert isinstance(decoding_step(tiny_target('llama').model, {}), NativeStep)


def test_another_architecture_takes_the_generic_step():
    assert 'Gemma3' in native_families.why_not(tiny_model('gemma3'))
    assert isinstance(decoding_step(tiny_target('gemma3').model, {}), GenericStep)


@pytest.mark.parametrize('threads', [1, 2, 5])
@pytest.mark.parametrize('rank', range(len(INSTRUCTION_SETS)), ids=INSTRUCTION_SETS)
@pytest.mark.parametrize('architecture', ['llama', 'qwen2', 'qwen3', 'mistral-sliding'])
def test_plain_weights_give_the_generic_steps_logits(architecture, rank, threads):
    model, ids = tiny_model(architecture), random_prompt(60)
    for prompt_tokens in (1, 40):
        expected = step_logits(model, GenericStep(model), ids, prompt_tokens)
        found = step_logits(model, NativeStep(model, {}, threads, rank), ids, prompt_tokens)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('rank', range(len(INSTRUCTION_SETS)), ids=INSTRUCTION_SETS)
def test_gates_of_hundreds_do_not_overflow(rank):
    model, ids = copy.deepcopy(tiny_model('llama')), random_prompt(12)
    for layer in model.model.layers:
        layer.mlp.gate_proj.weight.data *= 3000.0
    expected = step_logits(model, GenericStep(model), ids, 8)
    found = step_logits(model, NativeStep(model, {}, 1, rank), ids, 8)
    assert relative_error(found, expected) < 1e-3


@pytest.mark.parametrize('tokens', [1, 3, 4, 5, 32, 33, 41])
@pytest.mark.parametrize('rank', range(len(INSTRUCTION_SETS)), ids=INSTRUCTION_SETS)
@pytest.mark.parametrize('architecture', ['llama', 'mistral-sliding'])
def test_tokens_that_are_appended_together_are_tokens_one_by_one(architecture, rank, tokens):
    model, ids = tiny_model(architecture), random_prompt(100)
    expected = step_logits(model, GenericStep(model), ids[: 50 + tokens], 40)[[-1 - tokens, -1]]
    cache = KVCache(model.config, len(ids), lambda: None)
    forward(model, torch.tensor(ids[:40]), 0, cache)
    step = NativeStep(model, {}, 2, rank)
    with step.answering(cache, 40, len(ids) - 40):
        first = step.append(ids[40:50], lambda: None).clone()
        last = step.append(ids[50 : 50 + tokens], lambda: None).clone()
        torch.testing.assert_close(torch.stack([first, last]), expected, rtol=1e-4, atol=1e-4)
        assert [layer.length for layer in cache.layers] == [50 + tokens] * len(cache.layers)
        step.rewind(tokens)
        again = step.append(ids[50 : 50 + tokens], lambda: None)
        torch.testing.assert_close(again, last)


def several_at_once(model, step, ids, prompt_tokens, together):
    """Return the logits after each token behind a prompt, and the cache; so many a step."""
    cache = KVCache(model.config, len(ids), lambda: None)
    forward(model, torch.tensor(ids[:prompt_tokens]), 0, cache)
    found, memory = [], torch.empty(4, model.config.vocab_size)
    with step.answering(cache, prompt_tokens, len(ids) - prompt_tokens):
        while step.room:
            first = len(ids) - step.room
            found.append(step.several(ids[first : first + together], memory).clone())
    held = [(layer.keys[:, :, : layer.length], layer.values) for layer in cache.layers]
    return torch.cat(found), held


def assert_each_token_is_as_if_it_were_alone(model, step, ids, prompt_tokens):
    logits, held = several_at_once(model, step, ids, prompt_tokens, 1)
    for together in (2, 3, 4):
        found, cached = several_at_once(model, step, ids, prompt_tokens, together)
        assert torch.equal(found, logits)
        for (keys, values), (expected_keys, expected_values) in zip(cached, held, strict=True):
            assert torch.equal(keys, expected_keys)
            assert torch.equal(values, expected_values)


@pytest.mark.parametrize('threads', [1, 2, 5])
@pytest.mark.parametrize('rank', range(len(INSTRUCTION_SETS)), ids=INSTRUCTION_SETS)
@pytest.mark.parametrize('architecture', ['llama', 'qwen2', 'qwen3', 'mistral-sliding'])
def test_tokens_of_one_step_are_bit_for_bit_those_of_single_steps(architecture, rank, threads):
    model = tiny_model(architecture)
    step = NativeStep(model, {}, threads, rank)
    for prompt_tokens in (1, 29):  # both within a tile of 32 keys and over its end
        assert_each_token_is_as_if_it_were_alone(model, step, random_prompt(70), prompt_tokens)


@pytest.mark.parametrize('rank', range(len(INSTRUCTION_SETS)), ids=INSTRUCTION_SETS)
@pytest.mark.parametrize('kind', FORMATS, ids=lambda kind: kind.name)
def test_tokens_of_one_step_are_bit_for_bit_those_of_single_steps_in_each_format(kind, rank):
    model, weights = wide_model(), {}
    for index, (name, module) in enumerate(model.named_modules()):
        if isinstance(module, torch.nn.Linear):
            data = random_blocks(module.out_features, module.in_features, kind, index)
            weights[name] = packed(quantized(data, kind))
    step = NativeStep(model, weights, 2, rank)
    assert_each_token_is_as_if_it_were_alone(model, step, random_prompt(40), 20)


@pytest.mark.parametrize('rank', range(len(INSTRUCTION_SETS)), ids=INSTRUCTION_SETS)
@pytest.mark.parametrize(
    ('dtype', 'quantization'),
    [('bfloat16', 'none'), ('bfloat16', 'auto'), ('float32', 'auto'), ('float32', 'int8')],
)
def test_tokens_of_one_step_are_bit_for_bit_those_of_single_steps_of_a_real_model(
    prompt_ids, dtype, quantization, rank
):
    target = loaded(dtype, quantization)
    step = NativeStep(target.model, target.quantized, 2, rank)
    ids = prompt_ids + random_prompt(13)
    assert_each_token_is_as_if_it_were_alone(target.model, step, ids, len(prompt_ids))


def test_tokens_that_are_taken_back_leave_nothing_behind():
    model, ids = tiny_model('llama'), random_prompt(40)
    step, memory = NativeStep(model, {}, 2), torch.empty(4, model.config.vocab_size)
    expected, _ = several_at_once(model, step, ids, 20, 1)
    cache = KVCache(model.config, len(ids), lambda: None)
    forward(model, torch.tensor(ids[:20]), 0, cache)
    with step.answering(cache, 20, 20):
        for index, token in enumerate(ids[20:37]):
            assert torch.equal(step.several([token, 7, 8, 9], memory)[0], expected[index])
            step.rewind(3)
        assert step.room == 3
        assert [layer.length for layer in cache.layers] == [37] * len(cache.layers)


def test_a_run_of_tokens_is_asked_in_its_middle_whether_it_goes_on():
    model, ids, asked = tiny_model('llama'), random_prompt(100), []
    cache = KVCache(model.config, len(ids), lambda: None)
    forward(model, torch.tensor(ids[:1]), 0, cache)
    step = NativeStep(model, {}, 2)
    with step.answering(cache, 1, len(ids) - 1):
        step.append(ids[1:71], lambda: asked.append(cache.layers[0].length))
    assert asked == [33, 65]
    step.costs = (1.0, 1.25, 1.5, 1.75)
    found = [step.steps_of(count) for count in (1, 3, 4, 5, 32, 33, 66, 70)]
    assert found == [1, 1.5, 1.75, 2, 2, 3, 5.25, 6]


def test_a_run_of_tokens_that_is_too_long_is_not_begun():
    model = tiny_model('llama')
    cache = KVCache(model.config, 100, lambda: None)
    forward(model, torch.tensor([1]), 0, cache)
    step = NativeStep(model, {}, 2)
    with step.answering(cache, 1, 10):
        step.append([1] * 5, lambda: None)
        with pytest.raises(RuntimeError, match='10 steps at most'):
            step.append([1] * 6, lambda: None)
        assert [layer.length for layer in cache.layers] == [6] * len(cache.layers)


@pytest.mark.parametrize('rank', range(len(INSTRUCTION_SETS)), ids=INSTRUCTION_SETS)
@pytest.mark.parametrize('kind', FORMATS, ids=lambda kind: kind.name)
def test_each_format_gives_the_logits_of_the_same_weights_made_plain(kind, rank):
    ids, weights = random_prompt(40), {}
    plain, other = wide_model(), wide_model()
    for index, (name, module) in enumerate(plain.named_modules()):
        if isinstance(module, torch.nn.Linear):
            data = random_blocks(module.out_features, module.in_features, kind, index)
            weights[name] = packed(quantized(data, kind))
            values = torch.from_numpy(gguf.dequantize(data, kind).copy())
            module.weight = torch.nn.Parameter(values)
    expected = step_logits(plain, GenericStep(plain), ids, 20)
    for threads in (1, 3):
        step = NativeStep(other, weights, threads, rank)  # the plain weights are not to be read
        found = step_logits(plain, step, ids, 20)
        assert relative_error(found, expected) < 1e-3


@pytest.mark.parametrize('rank', range(len(INSTRUCTION_SETS)), ids=INSTRUCTION_SETS)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_plain_weights_of_16_bits_are_read_as_they_are(dtype, rank):
    model, ids, weights = tiny_model.__wrapped__('qwen3'), random_prompt(40), {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            halves = module.weight.detach().to(dtype)
            kind = str(dtype).removeprefix('torch.')
            weights[name] = PackedWeight(kind, *halves.shape, halves)
            module.weight = torch.nn.Parameter(halves.float())
    expected = step_logits(model, GenericStep(model), ids, 20)
    found = step_logits(model, NativeStep(model, weights, 2, rank), ids, 20)
    assert relative_error(found, expected) < 1e-5


@pytest.fixture(scope='module')
def reference():
    return load_target(BUILT_IN, device='cpu', dtype='float32', quantization='none')


@pytest.fixture(scope='module')
def prompt_ids(reference):
    return ChatPrompt(reference.tokenizer).token_ids(PROMPT)


@cache
def loaded(dtype, quantization):
    return load_target(BUILT_IN, device='cpu', dtype=dtype, quantization=quantization)


@pytest.mark.parametrize('rank', range(len(INSTRUCTION_SETS)), ids=INSTRUCTION_SETS)
@pytest.mark.parametrize(
    ('dtype', 'quantization', 'bound'),
    [
        ('float32', 'none', 1e-5),
        ('float32', 'auto', 5e-4),
        ('bfloat16', 'none', 2e-2),
        ('bfloat16', 'auto', 2e-2),
        ('float32', 'int8', 2e-2),
    ],
)
def test_real_logits_are_near_those_of_fp32(
    reference, prompt_ids, dtype, quantization, bound, rank
):
    target = loaded(dtype, quantization)
    ids = prompt_ids + random_prompt(16)
    expected = step_logits(reference.model, GenericStep(reference.model), ids, len(prompt_ids))
    step = NativeStep(target.model, target.quantized, 2, rank)
    assert relative_error(step_logits(target.model, step, ids, len(prompt_ids)), expected) < bound


def test_the_built_in_model_runs_as_its_file_stores_it():
    target = load_target(BUILT_IN, device='cpu')
    bits = {name: weight.bits for name, weight in target.quantized.items()}
    assert target.quantization == 'int4'
    assert bits.pop('lm_head') == 8
    assert len(bits) == 210 and set(bits.values()) == {4}


def test_a_step_after_an_eviction_sees_what_was_kept(reference, prompt_ids):
    engine = Engine(reference, DecodingSettings())
    ids, kept = [*prompt_ids] * 8, engine.scorer.min_kept_tokens
    logits = []
    for step in (engine.step, GenericStep(reference.model)):
        prefilled = engine.prefill(ids, 8, NEVER)
        engine.evict(prefilled, kept)
        with step.answering(prefilled.cache, len(ids), 8) as answering:
            tokens = torch.tensor(random_prompt(8))
            logits.append(torch.stack([answering.logits(token).clone() for token in tokens]))
        assert prefilled.cache.layers[0].length == kept + 8
    assert relative_error(*logits) < 1e-5


@pytest.mark.parametrize('full', [0, 2])
@pytest.mark.parametrize('architecture', ['llama', 'mistral-sliding'])
def test_a_step_into_a_full_layer_writes_nothing(architecture, full):
    model, ids = tiny_model(architecture), random_prompt(20)
    cache = KVCache(model.config, len(ids) + 5, lambda: None)
    forward(model, torch.tensor(ids), 0, cache)
    cache.layers[full].capacity = len(ids)
    # As integers: memory that was never written to may hold what is no number.
    memory = [
        states.view(torch.int32) for layer in cache.layers for states in (layer.keys, layer.values)
    ]
    before = [states.clone() for states in memory]
    expected = pytest.raises(RuntimeError, match=f'layer {full} is full: it has 20 tokens')
    with NativeStep(model, {}, 2).answering(cache, len(ids), 5) as answering:
        with expected:
            answering.logits(torch.tensor(3))
        cache.layers[full].capacity = len(ids) + 2
        with pytest.raises(RuntimeError, match='and 3 more are to come'):
            answering.append([3, 3, 3], lambda: None)
    assert [layer.length for layer in cache.layers] == [len(ids)] * 3
    assert all(map(torch.equal, memory, before))


def test_no_answer_has_more_steps_than_it_said():
    model, ids = tiny_model('llama'), random_prompt(20)
    cache = KVCache(model.config, len(ids) + 5, lambda: None)
    forward(model, torch.tensor(ids), 0, cache)
    with NativeStep(model, {}, 1).answering(cache, len(ids), 2) as answering:
        answering.logits(torch.tensor(3))
        answering.logits(torch.tensor(3))
        with pytest.raises(RuntimeError, match='2 steps at most'):
            answering.logits(torch.tensor(3))


def test_torchs_threads_are_given_back(reference, prompt_ids):
    before = torch.get_num_threads()
    engine = Engine(reference, DecodingSettings())
    decoding = engine.decode(engine.prefill(prompt_ids, 8, NEVER), 8, NEVER)
    next(decoding)
    decoding.close()
    assert torch.get_num_threads() == before
