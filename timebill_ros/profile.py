"""Measures a model on this machine, keeps the time model for the node, and draws it.

The figure is the paper's figure 5: measured and fitted prefill and step times. Without matplotlib,
all but the figure is done.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

from timebill_ros.core import profile_store
from timebill_ros.core.execution_time_estimator import CurveFit, TimeFit
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.inference.loaded_engine import loaded_engine
from timebill_ros.inference.loading.cache_folder import cache_folder
from timebill_ros.inference.loading.model_source import BUILT_IN
from timebill_ros.inference.measured_time_model import device_name, profile_key
from timebill_ros.inference.profiler import Measurements, Profiler
from timebill_ros.progress import Progress


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


def draw_if_possible(measured: Measurements, fitted: TimeFit, title: str, path: Path) -> str:
    """Write the figure if matplotlib is installed; return a sentence on what became of it."""
    try:
        from timebill_ros.profile_figure import draw
    except ModuleNotFoundError as error:
        if error.name != 'matplotlib':
            raise
        return 'no figure: matplotlib draws it, and is not installed (pip install matplotlib)'
    draw(measured, fitted, title, path)
    return f'drawn in {path}'


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
    print(draw_if_possible(profiler.measurements, fitted, title, arguments.figure))
    return 0


if __name__ == '__main__':
    sys.exit(main())
