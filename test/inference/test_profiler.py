"""Profiling a tiny model: what is measured, that it is kept, and when it is measured again."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from support.built_in_tokenizer import built_in_tokenizer
from support.tiny_models import tiny_target
from timebill_ros.inference.cache.scorers.snapkv import SnapKV
from timebill_ros.inference.cache.scorers.streaming_llm import StreamingLLM
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.measured_time_model import profile_key, time_model
from timebill_ros.inference.prefilled import Prefilled
from timebill_ros.inference.profiler import EVICTION_RATIOS, STEPS, Profiler
from timebill_ros.inference.step.native_step import NativeStep

TIME_LIMIT_S = 3.0


class Vocabulary:
    """A real tokenizer of which only so many ids are used as the tiny model has."""

    def __init__(self, tokenizer: object, size: int) -> None:
        self.backend_tokenizer = tokenizer.backend_tokenizer  # type: ignore[attr-defined]
        self._size = size

    def __len__(self) -> int:
        return self._size


@pytest.fixture(scope='module')
def engine() -> Engine:
    target = tiny_target('qwen2')
    tokenizer = built_in_tokenizer()
    vocabulary = Vocabulary(tokenizer, target.model.config.vocab_size)
    return Engine(dataclasses.replace(target, tokenizer=vocabulary), DecodingSettings(1.0))


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    return tmp_path / 'timebill_ros' / 'profiles'


def test_curves_and_generations_are_measured_over_the_whole_context(engine: Engine) -> None:
    told: list[float] = []
    profiler = Profiler(engine, TIME_LIMIT_S, told.append)
    fitted = profiler.run()
    measured = profiler.measurements
    lengths = {sample.tokens for sample in measured.prefills}
    assert len(lengths) >= 5
    assert max(lengths) > engine.target.context_length - 2 * STEPS - 5
    assert {sample.tokens for sample in measured.steps} - lengths  # also after evictions
    assert min(s.tokens for s in measured.evictions) > engine.scorer.min_kept_tokens
    assert measured.generations
    assert all(g.kept_tokens <= g.prompt_tokens for g in measured.generations)
    assert any(g.eviction_s > 0 for g in measured.generations)
    assert told == sorted(told)
    assert told[-1] == 1.0
    model = fitted.model
    assert 0 < model.t_step(10) <= model.t_step(400)
    assert math.isfinite(model.t_wcet(300, 100, 20))


def test_generations_take_every_ratio(engine: Engine) -> None:
    profiler = Profiler(engine, 0.0, seed=1)
    found = [profiler.generation(400) for _ in range(60)]
    ratios = {round(1 - g.kept_tokens / g.prompt_tokens, 1) for g in found}
    assert len(ratios) > len(EVICTION_RATIOS) - 2
    assert all((g.eviction_s > 0) == (g.kept_tokens < g.prompt_tokens) for g in found)


def test_guesses_change_no_step_that_is_measured_but_the_passes_of_generations(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    guessing = Engine(engine.target, engine.settings, engine.scorer, engine.step, speculates=True)
    assert guessing.speculates
    profiler, taken = Profiler(guessing, 0.0), list[int]()
    step = engine.step
    assert isinstance(step, NativeStep)
    several = step.several

    def spy(ids: Sequence[int], logits: torch.Tensor) -> torch.Tensor:
        taken.append(len(ids))
        return several(ids, logits)

    monkeypatch.setattr(step, 'several', spy)
    profiler.measure_round(300, evicts=False)
    assert taken == []
    generations = [profiler.generation(200, 200) for _ in range(5)]
    assert max(taken) > 1
    counted = sum(g.response_tokens - 1 for g in generations)
    assert counted == pytest.approx(sum(step.costs[tokens - 1] for tokens in taken), abs=5)


def test_a_time_model_is_kept_until_something_changes(engine: Engine, cache: Path) -> None:
    told: list[float] = []
    first = time_model(engine, TIME_LIMIT_S, told.append)
    assert len(list(cache.glob('profile-*.json'))) == 1
    told.clear()
    assert time_model(engine, TIME_LIMIT_S, told.append) == first
    assert told == []  # not measured
    guessing = Engine(engine.target, engine.settings, engine.scorer, engine.step, speculates=True)
    assert time_model(guessing, TIME_LIMIT_S, told.append).speculates
    assert told  # guesses are in the times of its generations
    told.clear()

    other = Engine(engine.target, DecodingSettings(1.3), engine.scorer)
    assert profile_key(other) != profile_key(engine)
    time_model(other, TIME_LIMIT_S, told.append)
    assert told
    assert len(list(cache.glob('profile-*.json'))) == 3

    told.clear()
    time_model(engine, TIME_LIMIT_S, told.append, anew=True)
    assert told
    assert len(list(cache.glob('profile-*.json'))) == 3


def test_a_profile_holds_for_one_scorer_and_its_settings(engine: Engine) -> None:
    scorers = (SnapKV(), SnapKV(window=8), SnapKV(pooling='max'), StreamingLLM())
    engines = [Engine(engine.target, engine.settings, scorer) for scorer in scorers]
    assert len({profile_key(engine).file_name for engine in engines}) == len(scorers)
    assert profile_key(engines[0]) == profile_key(engine)


def short_of_memory(monkeypatch: pytest.MonkeyPatch, engine: Engine, most_tokens: int) -> None:
    prefill = engine.prefill

    def refusing(token_ids: list[int], *more: Any, **named: Any) -> Prefilled:
        if len(token_ids) > most_tokens:
            raise torch.OutOfMemoryError('CUDA out of memory.')
        return prefill(token_ids, *more, **named)

    monkeypatch.setattr(engine, 'prefill', refusing)


def test_prompts_that_find_no_memory_are_left_out(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    short_of_memory(monkeypatch, engine, 310)
    profiler = Profiler(engine, TIME_LIMIT_S)
    assert profiler.run().model.t_step(10) > 0
    assert max(sample.tokens for sample in profiler.measurements.prefills) <= 310
    assert 'no memory for a prompt of 496 tokens' in caplog.text


def test_without_memory_for_a_few_lengths_there_is_no_profile(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_of_memory(monkeypatch, engine, 60)
    with pytest.raises(torch.OutOfMemoryError):
        Profiler(engine, TIME_LIMIT_S).run()
