"""The head on the target's states: what it reads, when it is ready, and whose it is."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch

from support.tiny_models import NEVER, random_prompt, tiny_target
from timebill_ros.core.deadline import Deadline
from timebill_ros.inference import engine as engine_module
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.interrupt import Interrupt, InterruptedGenerationError
from timebill_ros.inference.length import state_head
from timebill_ros.inference.length.length_predictor import NoPredictor
from timebill_ros.inference.length.predictor_key import PredictorKey
from timebill_ros.inference.length.predictor_loader import load_predictor
from timebill_ros.inference.length.prefill_states import PrefillStates
from timebill_ros.inference.length.state_head import StateHead
from timebill_ros.inference.length.state_predictor import StatePredictor, load_state_predictor
from timebill_ros.inference.loading.model_loader import BUILT_IN, TargetModel, load_target
from timebill_ros.inference.prefix.prefix_cache import PrefixCache
from timebill_ros.inference.step.generic_step import GenericStep

HIDDEN = 96
PROMPT = random_prompt(50)


def random_head(layers: tuple[int, ...] = (1, 2)) -> StateHead:
    torch.manual_seed(1)
    head = StateHead(layers, HIDDEN, members=2)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return head


def key_of(target: TargetModel) -> PredictorKey:
    return PredictorKey(target.name, target.weights_hash, target.quantization, 1.0, 64)


@pytest.fixture
def target() -> TargetModel:
    return tiny_target('llama')


@pytest.fixture
def engine(target: TargetModel) -> Engine:
    return Engine(target, DecodingSettings())


def test_what_is_read_is_what_the_layers_put_out(target: TargetModel, engine: Engine) -> None:
    found: list[torch.Tensor] = []
    with PrefillStates(target.model, (1, 3), len(PROMPT), found.append).reading():
        engine.prefill(PROMPT, 1, NEVER)
    outputs: list[torch.Tensor] = []
    generic = Engine(target, DecodingSettings(), step=GenericStep(target.model))
    hooks = [
        target.model.model.layers[place].register_forward_hook(
            lambda _m, _a, out: outputs.append(out[0] if isinstance(out, tuple) else out)
        )
        for place in (0, 2)
    ]
    generic.prefill(PROMPT, 1, NEVER)
    for hook in hooks:
        hook.remove()
    for row, output in zip(found[0], outputs, strict=True):
        states = output.reshape(len(PROMPT), HIDDEN)
        torch.testing.assert_close(row[0], states[-1], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(row[1], states.mean(0), rtol=1e-4, atol=1e-4)


def test_chunks_are_read_as_one_prompt(
    target: TargetModel, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[torch.Tensor] = []
    for chunk in (1024, 16):
        monkeypatch.setattr(engine_module, 'PREFILL_CHUNKS', ((1 << 62, chunk),))
        with PrefillStates(target.model, (2,), len(PROMPT), found.append).reading():
            engine.prefill(PROMPT, 1, NEVER)
    assert len(found) == 2
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)


def test_the_prediction_is_there_before_the_layers_above_have_read(
    target: TargetModel,
) -> None:
    engine = Engine(target, DecodingSettings(), step=GenericStep(target.model))
    predictor = StatePredictor(target, random_head((1,)))
    seen: list[bool] = []
    with predictor.beside_prefill('', PROMPT, math.inf) as reading:
        hook = target.model.model.layers[1].register_forward_pre_hook(
            lambda *_: seen.append(reading.distribution() is not None)
        )
        engine.prefill(PROMPT, 1, NEVER)
        hook.remove()
    assert seen == [True]
    distribution = reading.distribution()
    assert distribution is not None
    assert distribution.probabilities.sum() == pytest.approx(1.0, abs=1e-5)
    assert (distribution.probabilities >= 0).all()


def test_nothing_is_read_outside_and_an_interrupted_prefill_predicts_nothing(
    target: TargetModel, engine: Engine
) -> None:
    predictor = StatePredictor(target, random_head())
    late = Interrupt(Deadline(-1.0, lambda: 0.0))
    with (
        pytest.raises(InterruptedGenerationError),
        predictor.beside_prefill('', PROMPT, math.inf) as reading,
    ):
        engine.prefill(PROMPT, 1, late)
    assert reading.distribution() is None
    engine.prefill(PROMPT, 1, NEVER)
    assert reading.distribution() is None


def test_the_prefill_is_the_same_with_a_predictor_beside_it(
    target: TargetModel, engine: Engine
) -> None:
    alone = engine.prefill(PROMPT, 1, NEVER)
    with StatePredictor(target, random_head()).beside_prefill('', PROMPT, math.inf):
        beside = engine.prefill(PROMPT, 1, NEVER)
    assert torch.equal(alone.logits, beside.logits)


def test_the_prediction_for_a_prompt_that_was_read_before_is_the_same(
    target: TargetModel, engine: Engine
) -> None:
    predictor = StatePredictor(target, random_head())
    engine.prefixes = PrefixCache(1 << 30, engine.scorer.window, predictor.needs_sums)
    other = [*PROMPT[:40], *random_prompt(20, seed=1)]
    found = []
    for ids in (PROMPT, other, PROMPT):
        beginning = engine.begin(ids, 1)
        with predictor.beside_prefill('', ids, math.inf, beginning.sums) as reading:
            engine.prefill(ids, 1, NEVER, beginning=beginning)
        with predictor.beside_prefill('', ids, math.inf) as whole:
            engine.prefill(ids, 1, NEVER)
        predictions = [read.distribution() for read in (reading, whole)]
        assert predictions[0] is not None and predictions[1] is not None
        assert predictions[0].probabilities == pytest.approx(
            predictions[1].probabilities, rel=1e-3, abs=1e-6
        )
        found.append(beginning.cached_tokens)
    assert found == [0, 32, 32]


def test_a_context_that_was_prepared_is_predicted_for_too(
    target: TargetModel, engine: Engine
) -> None:
    predictor = StatePredictor(target, random_head())
    engine.prefixes = PrefixCache(1 << 30, engine.scorer.window, predictor.needs_sums)
    prepared = engine.begin(PROMPT[:34], 1)
    with predictor.beside_preparation(PROMPT[:34], prepared.sums):
        engine.prefill(PROMPT[:34], 1, NEVER, beginning=prepared)
    beginning = engine.begin(PROMPT, 1)
    with predictor.beside_prefill('', PROMPT, math.inf, beginning.sums) as reading:
        engine.prefill(PROMPT, 1, NEVER, beginning=beginning)
    assert beginning.cached_tokens == 32
    assert reading.distribution() is not None


def test_a_saved_head_says_the_same_again(target: TargetModel, tmp_path: Path) -> None:
    head = random_head()
    head.scale.fill_(1e-7)  # what fp16 would lose
    path = tmp_path / 'head.safetensors'
    state_head.save(head, key_of(target), path)
    again, key = state_head.load(path)
    assert (key, again.layers) == (key_of(target), head.layers)
    states, length = 1e6 * torch.randn(3, 2, 2, HIDDEN), torch.tensor([5, 50, 500])
    torch.testing.assert_close(again(states, length), head(states, length), rtol=2e-2, atol=1e-4)


@pytest.mark.parametrize(
    ('field', 'value'),
    [('weights_hash', 'other'), ('quantization', 'int8'), ('repetition_penalty', 1.3)],
)
def test_another_targets_head_is_refused_with_what_differs(
    target: TargetModel, tmp_path: Path, field: str, value: object
) -> None:
    path = tmp_path / 'head.safetensors'
    changes: dict[str, object] = {field: value}
    key = dataclasses.replace(key_of(target), **changes)  # type: ignore[arg-type]
    state_head.save(random_head(), key, path)
    with pytest.raises(ValueError, match=f'{field} {value!r}, not'):
        load_state_predictor(path, target, 1.0)


def test_what_is_no_predictor_is_refused_with_a_sentence(
    target: TargetModel, tmp_path: Path
) -> None:
    damaged = tmp_path / 'x.safetensors'
    damaged.write_bytes(b'not a safetensors file')
    for source in (damaged, tmp_path / 'absent.safetensors'):
        with pytest.raises(ValueError, match=f'{source.name} is no length predictor'):
            load_predictor(str(source), target, 1.0)
    for source in ('nowhere', './a/b', '/a/b'):
        with pytest.raises(ValueError, match='does not exist'):
            load_predictor(source, target, 1.0)


def test_a_target_without_a_predictor_is_planned_for_the_longest_with_a_warning(
    target: TargetModel, caplog: pytest.LogCaptureFixture
) -> None:
    assert isinstance(load_predictor('none', target, 1.0), NoPredictor)
    assert not caplog.records
    assert isinstance(load_predictor('auto', target, 1.0), NoPredictor)
    assert 'max_new_tokens' in caplog.text
    assert caplog.records[0].levelname == 'WARNING'


def test_the_built_in_target_has_a_predictor_that_tells_long_answers_from_short() -> None:
    built_in = load_target(BUILT_IN, device='cpu')
    predictor = load_predictor('auto', built_in, built_in.repetition_penalty)
    assert isinstance(predictor, StatePredictor)
    engine = Engine(built_in, DecodingSettings(built_in.repetition_penalty))
    lengths = []
    for prompt in (
        'What is the capital of Japan? Answer with one word.',
        'Write a detailed essay about the history of the steam engine.',
    ):
        turns = [{'role': 'user', 'content': prompt}]
        ids = built_in.tokenizer.apply_chat_template(turns, add_generation_prompt=True)
        ids = list(ids['input_ids'])
        with predictor.beside_prefill(prompt, ids, math.inf) as reading:
            engine.prefill(ids, 1, NEVER)
        distribution = reading.distribution()
        assert distribution is not None
        lengths.append(distribution.predicted_tokens(1024))
    assert lengths[0] < 100 < lengths[1]
