"""The tables of the GPU benchmark on the screen."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmark.gpu.disagreements import disagreements
from benchmark.report.tables import screen_table


@dataclass(frozen=True)
class _Row:
    """A figure of each shape.

    Arguments:
        path: where it is among the findings.
        factor: from their unit to the table's.
        form: of the number.
    """

    label: str
    path: tuple[str, ...]
    factor: float = 1.0
    form: str = '.2f'

    def cell(self, shape: Any) -> str:
        """Return a shape's figure; '-': it was not measured."""
        try:
            for name in self.path:
                shape = shape[name]
            return format(self.factor * shape, self.form)
        except (KeyError, TypeError):
            return '-'


def print_tables(found: dict[str, Any]) -> None:
    """Print how far the device agrees with the CPU, what the models cost, and what failed."""
    print(', '.join(f'{name} {value}' for name, value in found.get('device', {}).items()))
    print(screen_table(correctness_rows(found['correctness'])))
    for line in disagreements(found['correctness']):
        print(f'WRONG: {line}')
    print(screen_table(shape_rows(found['shapes'])))
    for name, shape in found['shapes'].items():
        if 'skipped' in shape:
            print(f'{name} is left out: {shape["skipped"]}')
    for line in disagreements(found['shapes']):
        print(f'not measured: {line}')
    for part, ended in found['parts'].items():
        print(f'{part}: {ended}')


def correctness_rows(found: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return a row for each model and step: how many comparisons agree, and the largest error."""
    rows: list[tuple[str, ...]] = [('model', 'step', 'agree', 'largest error')]
    for model, steps in found.items():
        for step, scenarios in steps.items():
            if step == 'is':
                continue
            compared = [value for value in scenarios.values() if isinstance(value, dict)]
            agree = [value for value in compared if value.get('agrees')]
            largest = max((value['error'] for value in agree), default=float('nan'))
            rows.append((model, step, f'{len(agree)} of {len(compared)}', f'{largest:.1e}'))
    return rows


def shape_rows(found: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return a column for each shape."""
    rows: list[tuple[str, ...]] = [('', *found)]
    lengths = {length for shape in found.values() for length in shape.get('prefill', {})}
    for row in _rows(sorted(lengths, key=int)):
        rows.append((row.label, *(row.cell(shape) for shape in found.values())))
    return rows


def _rows(lengths: list[str]) -> Iterator[_Row]:
    yield _Row('weights [GB]', ('weights_bytes',), 1e-9)
    yield _Row('copy [GB/s]', ('copy_gb_per_s',), form='.0f')
    yield _Row('recording [s]', ('recording', 'seconds'), form='.1f')
    yield _Row('static cache [GB]', ('recording', 'static_cache_bytes'), 1e-9)
    yield _Row('graphs [GB]', ('recording', 'graph_bytes'), 1e-9)
    yield _Row('peak [GB]', ('peak', 'reserved_bytes'), 1e-9)
    for length in lengths:
        yield _Row(f'prefill of {length} [ms]', ('prefill', length, 'seconds'), 1e3, '.1f')
        for step in ('graph', 'generic'):
            place = ('step', step, length)
            name = f'{step} step at {length}'
            yield _Row(f'{name}, wall [ms]', (*place, 'wall_ms'))
            yield _Row(f'{name}, device [ms]', (*place, 'device_ms'))
            yield _Row(f'{name}, launch [ms]', (*place, 'launch_ms'))
            yield _Row(f'{name}, bandwidth', (*place, 'bandwidth_share'))
        yield _Row(f'generate at {length}, wall [ms]', ('generate', length, 'wall_ms'))
    for step in ('graph', 'generic'):
        for what in ('kernels', 'launches'):
            yield _Row(f'{step} step, {what}', ('kernels', step, what), form='.0f')
    for what in ('prefill', 'answer', 'queued steps'):
        yield _Row(f'abort, {what}: returned [ms]', ('kill', what, 'returned_ms'), form='.1f')
        yield _Row(f'abort, {what}: free [ms]', ('kill', what, 'free_ms'), form='.1f')
    yield _Row('p [us/token]', ('time_model', 'p'), 1e6, '.3f')
    yield _Row('q [ms]', ('time_model', 'q'), 1e3)
