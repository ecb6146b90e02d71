"""The measurements of a model of a real size, on a tiny one and on the CPU."""

from typing import Any

import pytest
import torch

from benchmark.gpu import shape_costs
from benchmark.gpu.disagreements import disagreements
from benchmark.gpu.shape_costs import measure_shape
from benchmark.gpu.table import shape_rows
from benchmark.gpu.targets import SHAPES, Shape
from benchmark.gpu.tell import is_out_of_memory

CPU = torch.device('cpu')
TINY = Shape('tiny', 64, 2, 4, 2, 128, 300, tied=False)
LENGTHS, PROFILED = (24, 48), (24, 96, 120)


def measured() -> dict[str, Any]:
    found: dict[str, Any] = {}

    def tell(value: Any, *path: str) -> None:
        place = found
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value

    measure_shape(TINY, CPU, tell, LENGTHS, PROFILED, copied_bytes=1 << 16)
    return found


@pytest.fixture
def few_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('benchmark.gpu.targets.CONTEXT', 512)
    # An abort may come too late for a model as small as this.
    monkeypatch.setattr(shape_costs, 'kill_latency', lambda *_: {})


def test_everything_is_measured(few_tokens: None) -> None:
    found = measured()['tiny']
    assert list(disagreements(found)) == []
    assert set(found['step']) == set(found['kernels']) == {'graph', 'generic'}
    assert set(found['prefill']) == set(found['generate']) == {'24', '48'}
    assert found['fits_8_gb'] is True
    assert found['time_model']['q'] > 0
    size = getattr(torch, found['dtype']).itemsize
    token_bytes = 2 * 2 * 2 * 16 * size  # layers, K and V, heads, size
    assert found['recording']['static_cache_bytes'] == 512 * token_bytes
    weights = found['weights_bytes'] - 300 * 64 * size
    assert found['step']['generic']['24']['bytes'] == weights + (24 + 4 + 16) * token_bytes
    assert found['step']['graph']['24']['bytes'] == weights + 256 * token_bytes


def test_what_fails_is_told_and_the_rest_is_measured(
    few_tokens: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Any) -> None:
        raise RuntimeError('operation not permitted when stream is capturing')

    monkeypatch.setattr(shape_costs, 'GraphStep', refuse)
    found = measured()['tiny']
    assert [line.partition(':')[0] for line in disagreements(found)] == ['recording']
    assert set(found['step']) == {'generic'}
    assert found['time_model']['q'] > 0


def test_a_model_that_does_not_fit_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shape_costs, 'free_bytes', lambda _: 100_000)
    found = measured()['tiny']
    assert set(found) == {'dtype', 'copy_gb_per_s', 'skipped'}
    assert found['skipped'].endswith('and 0.0 GB are free')


def test_without_memory_below_the_cap_it_is_measured_above(
    few_tokens: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    caps: list[int | None] = []
    make = shape_costs.random_target

    def make_without_cap(*args: Any) -> Any:
        if caps[-1] is not None:
            raise torch.OutOfMemoryError('CUDA out of memory')
        return make(*args)

    monkeypatch.setattr(shape_costs, '_cap', lambda _, most: caps.append(most))
    monkeypatch.setattr(shape_costs, 'random_target', make_without_cap)
    found = measured()['tiny']
    assert caps == [8_000_000_000, None]
    assert found['fits_8_gb'] is False
    assert found['time_model']['q'] > 0


def test_a_part_without_memory_below_the_cap_is_measured_above(
    few_tokens: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    caps: list[int | None] = []
    record = shape_costs.GraphStep

    def record_without_cap(model: Any) -> Any:
        if caps[-1] is not None:
            raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB')
        return record(model)

    monkeypatch.setattr(shape_costs, '_cap', lambda _, most: caps.append(most))
    monkeypatch.setattr(shape_costs, 'GraphStep', record_without_cap)
    found = measured()['tiny']
    assert caps == [8_000_000_000, None]
    assert found['fits_8_gb'] is False
    assert list(disagreements(found)) == []


@pytest.mark.parametrize(
    ('failed', 'is_it'),
    [
        ('OutOfMemoryError: CUDA out of memory.', True),
        ('AcceleratorError: CUDA error: out of memory', True),
        ('RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling', True),
        ('RuntimeError: operation not permitted when stream is capturing', False),
    ],
)
def test_want_of_memory_has_several_names(failed: str, is_it: bool) -> None:
    assert is_out_of_memory({'failed': failed}) is is_it


@pytest.mark.parametrize(('name', 'billions'), [('0.5B', 0.49), ('1.5B', 1.54), ('7B', 7.6)])
def test_shapes_have_the_sizes_of_their_names(name: str, billions: float) -> None:
    assert SHAPES[name].weights_bytes(torch.int8) / 1e9 == pytest.approx(billions, rel=0.02)


def test_the_table_has_a_column_for_each_shape_and_a_dash_for_what_is_not_known() -> None:
    found = {'a': {'prefill': {'48': {'seconds': 0.002}}}, 'b': {'copy_gb_per_s': 12.4}}
    rows = {row[0]: row[1:] for row in shape_rows(found)}
    assert rows[''] == ('a', 'b')
    assert rows['prefill of 48 [ms]'] == ('2.0', '-')
    assert rows['copy [GB/s]'] == ('-', '12')
