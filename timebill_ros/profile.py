"""Measures a model on this machine, keeps the time model for the node, and draws it.

The figure is the paper's figure 5: measured and fitted prefill and step times.
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np

from timebill_ros.core import profile_store
from timebill_ros.core.execution_time_estimator import CurveFit, Sample, TimeFit
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.inference.loaded_engine import loaded_engine
from timebill_ros.inference.loading.gguf_cache import cache_folder
from timebill_ros.inference.loading.model_loader import BUILT_IN
from timebill_ros.inference.measured_time_model import device_name, profile_key
from timebill_ros.inference.profiler import Measurements, Profiler
from timebill_ros.progress import Progress

matplotlib.use('Agg')

from matplotlib import pyplot as plt
from matplotlib.axes import Axes


def profiled(profiler: Profiler) -> TimeFit:
    """Run a profiler behind a progress bar."""
    with Progress(100, '%') as progress:
        done = 0

        def tell(share: float) -> None:
            nonlocal done
            progress.advance(round(100 * share) - done, 'profiling')
            done = round(100 * share)

        profiler.progress = tell
        return profiler.run()


def draw(measured: Measurements, fitted: TimeFit, title: str, path: Path) -> None:
    """Write the figure: prefill, step and eviction, measured and fitted."""
    model = fitted.model
    figure, axes = plt.subplots(1, 3, figsize=(14, 4.5), layout='constrained')
    curves: list[tuple[str, str, Sequence[Sample], CurveFit, Callable[[int], float]]] = [
        ('prefill', 'prompt tokens', measured.prefills, fitted.prefill, model.t_prefill),
        ('decoding step', 'tokens in the cache', measured.steps, fitted.step, model.t_step),
        ('eviction', 'prompt tokens', measured.evictions, fitted.eviction, model.t_eviction),
    ]
    for place, (name, unit, samples, quality, predict) in zip(axes, curves, strict=True):
        _draw_curve(place, samples, predict)
        place.set_title(f'{name}: error {quality.mape:.1f} %, {quality.left_out} left out')
        place.set_xlabel(f'{unit}')
    figure.suptitle(title)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw_curve(axes: Axes, samples: Sequence[Sample], predict: Callable[[int], float]) -> None:
    lengths = [sample.tokens for sample in samples]
    axes.plot(lengths, [1000 * sample.seconds for sample in samples], '.', label='measured')
    if lengths:
        grid = np.linspace(min(lengths), max(lengths), 100)
        axes.plot(grid, [1000 * predict(round(length)) for length in grid], label='fitted')
    axes.set_ylabel('ms')
    axes.set_ylim(bottom=0)
    axes.legend()


def main() -> int:
    """Profile, save, print and draw; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', default=BUILT_IN, help='as the node parameter')
    parser.add_argument('--device', default='auto', help='as the node parameter')
    parser.add_argument('--dtype', default='auto', help='as the node parameter')
    parser.add_argument('--threads', type=int, default=0, help='as the node parameter')
    parser.add_argument('--time', type=float, default=60.0, help='how long to measure [s]')
    parser.add_argument('--figure', type=Path, default=Path('profile.png'), help='PNG to write')
    arguments = parser.parse_args()
    try:
        engine = loaded_engine(
            ModelSettings(
                model=arguments.model,
                device=arguments.device,
                dtype=arguments.dtype,
                threads=arguments.threads,
            )
        )
        profiler = Profiler(engine, arguments.time)
        fitted = profiled(profiler)
    except ValueError as error:
        print(f'profile: {error}', file=sys.stderr)
        return 1
    path = profile_store.save(cache_folder() / 'profiles', profile_key(engine), fitted.model)
    for name, value in dataclasses.asdict(fitted.model).items():
        print(f'{name:6} {value:.6g}')
    for name in ('prefill', 'step', 'eviction'):
        curve: CurveFit = getattr(fitted, name)
        print(f'{name}: {curve.samples} samples, {curve.left_out} left out, {curve.mape:.2f} %')
    print(f'delta from {fitted.generations} generations; saved as {path}')
    title = f'{arguments.model} on {device_name(engine.target.device)}'
    draw(profiler.measurements, fitted, title, arguments.figure)
    print(f'drawn in {arguments.figure}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
