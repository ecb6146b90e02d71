"""Draws a profile: measured and fitted times of prefill, step and eviction (the paper's figure 5).

Needs matplotlib, which the node does not: a robot may be without it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np

from timebill_ros.core.execution_time_estimator import CurveFit, Sample, TimeFit
from timebill_ros.inference.profiler import Measurements

matplotlib.use('Agg')

from matplotlib import pyplot as plt
from matplotlib.axes import Axes


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
