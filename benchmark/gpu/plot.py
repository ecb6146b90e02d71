"""Draws the GPU benchmark: what a step takes, beside what the memory allows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use('Agg')

from matplotlib import pyplot as plt

_WIDTH = 0.2


def plot(found: dict[str, Any], path: Path) -> None:
    """Write the figure, of what was measured."""
    shapes = {name: shape for name, shape in found['shapes'].items() if shape.get('step')}
    lengths = sorted({n for shape in shapes.values() for n in shape.get('prefill', {})}, key=int)
    if not lengths:
        return
    longest = lengths[-1]
    bars: dict[str, Callable[[Any], float]] = {
        'CUDA graph': lambda s: s['step']['graph'][longest]['wall_ms'],
        'transformers modules': lambda s: s['step']['generic'][longest]['wall_ms'],
        'transformers generate': lambda s: s['generate'][longest]['wall_ms'],
        "the step's bytes / copy bandwidth": lambda s: (
            s['step']['graph'][longest]['bytes'] / s['copy_gb_per_s'] / 1e6
        ),
    }
    figure, axes = plt.subplots(figsize=(8, 4.5), layout='constrained')
    for index, (label, look) in enumerate(bars.items()):
        heights = [_height(look, shape) for shape in shapes.values()]
        places = [place + (index - 1.5) * _WIDTH for place in range(len(shapes))]
        drawn = axes.bar(places, heights, _WIDTH, label=label)
        axes.bar_label(drawn, fmt='%.1f', fontsize='small')
    axes.set_xticks(range(len(shapes)), list(shapes))
    axes.set_ylabel('a step [ms]')
    name = found.get('device', {}).get('name', '')
    axes.set_title(f'{name}: random models, {longest} prompt tokens')
    axes.legend(fontsize='small')
    axes.grid(alpha=0.3, axis='y')
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _height(look: Callable[[Any], float], shape: Any) -> float:
    try:
        return look(shape)
    except (KeyError, TypeError):  # it was not measured
        return 0.0
