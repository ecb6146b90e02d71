"""The comparison of a device with the CPU, on the CPU itself and on a faked GPU."""

from typing import Any

import pytest
import torch

from benchmark.gpu import correctness
from benchmark.gpu.correctness import check_all
from benchmark.gpu.disagreements import disagreements
from benchmark.gpu.scenarios import SCENARIOS, ScenarioError
from benchmark.gpu.targets import tiny_target
from support.fake_cuda import GPU, fake_cuda
from timebill_ros.inference.cache.kv_cache import KVCache
from timebill_ros.inference.cache.static_cache import StaticCache
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.prefix.prefix_cache import PrefixCache
from timebill_ros.inference.step.generic_step import GenericStep

CPU = torch.device('cpu')


class Told:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def tell(self, value: Any, *path: str) -> None:
        place = self.found
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value


@pytest.fixture(autouse=True)
def no_built_in_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correctness, '_check_built_in', lambda *_: 'left out')


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.mark.parametrize('kind', ['llama', 'gpt2'])
def test_a_cpu_agrees_with_itself_in_everything_by_both_steps(kind: str, told: Told) -> None:
    check_all(CPU, told.tell, [kind])
    assert list(disagreements(told.found)) == []
    for step in ('generic', 'graph'):
        compared = told.found[kind][step]
        assert set(compared) > set(SCENARIOS)
        assert all(value['agrees'] for value in compared.values())


def test_layers_with_windows_are_compared_by_the_generic_step(told: Told) -> None:
    check_all(CPU, told.tell, ['gemma3_text'])
    assert list(disagreements(told.found)) == []
    assert set(told.found['gemma3_text']) == {'is', 'generic'}


def test_a_gpu_is_compared_with_the_cpu(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    few = {name: SCENARIOS[name] for name in ('evicted midway 0.5', 'answer preempted')}
    monkeypatch.setattr(correctness, 'SCENARIOS', few)  # the faked one is slow
    with fake_cuda(monkeypatch):
        check_all(GPU, told.tell, ['qwen2'])
    assert list(disagreements(told.found)) == []
    assert set(told.found['qwen2']['graph']) > set(few)


def test_an_error_of_one_step_is_told_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    take = StaticCache.take

    def forget_the_first_token(self: StaticCache, cache: KVCache) -> None:
        take(self, cache)
        for layer in self.layers:
            layer.values[:, :, 0] = 0

    monkeypatch.setattr(StaticCache, 'take', forget_the_first_token)
    whole = {'whole': SCENARIOS['whole']}
    monkeypatch.setattr(correctness, 'SCENARIOS', whole)
    check_all(CPU, told.tell, ['llama'])
    wrong = list(disagreements(told.found))
    assert {line.partition(',')[0] for line in wrong} == {'llama'}
    assert all(line.startswith('llama, graph, ') for line in wrong)
    assert any(line.startswith('llama, graph, whole: ') for line in wrong)
    assert told.found['llama']['generic']['whole']['agrees']


def test_what_fails_is_told_in_its_place(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError('CUDA error: an illegal memory access\nmore')

    monkeypatch.setattr(StaticCache, 'take', fail)
    few = {name: SCENARIOS[name] for name in ('whole', 'dropped')}
    monkeypatch.setattr(correctness, 'SCENARIOS', few)
    check_all(CPU, told.tell, ['llama'])
    said = 'llama, graph, whole: RuntimeError: CUDA error: an illegal memory access'
    assert said in disagreements(told.found)
    assert told.found['llama']['generic']['dropped']['agrees']


def test_a_cache_that_is_not_freed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    target = tiny_target('llama', CPU, torch.float32)
    engine = Engine(target, correctness.SETTINGS, step=GenericStep(target.model))
    monkeypatch.setattr(KVCache, 'free', lambda self: None)
    with pytest.raises(ScenarioError, match='was not freed'):
        SCENARIOS['dropped'](engine, correctness.random_prompts(target))


def test_memory_that_is_not_reused_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    target = tiny_target('llama', CPU, torch.float32)
    engine = Engine(target, correctness.SETTINGS, step=GenericStep(target.model))
    monkeypatch.setattr(PrefixCache, 'done', lambda *_: None)  # so it is copied
    with pytest.raises(ScenarioError, match='not reused in that way'):
        SCENARIOS['prefix handed over'](engine, correctness.random_prompts(target))
