"""Draws the effect of load: the share on time, and the memory over the queries."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes

matplotlib.use('Agg')

from matplotlib import pyplot as plt

_COLOURS = {
    'edf': 'tab:blue',
    'fifo': 'tab:orange',
    'keep_latest': 'tab:green',
    'no_admission': 'tab:gray',
}
_LABELS = {
    'edf': 'edf, admission backlog',
    'fifo': 'fifo, admission backlog',
    'keep_latest': 'fifo, keep_latest',
    'no_admission': 'edf, admission alone',
}


def plot_goodput(result: Mapping[str, Any], path: Path) -> None:
    """Write the figure of the benchmark under load alone."""
    figure, axes = plt.subplots(figsize=(9, 5), layout='constrained')
    draw_goodput(axes, result)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def draw_goodput(axes: Axes, result: Mapping[str, Any]) -> None:
    """Draw the share of arrivals that are answered on time over the load, with intervals.

    A line over the bars is what could have been answered, with all known before.
    """
    goodput = result['goodput']
    width = 0.8 / len(goodput)
    for shift, (arm, by_load) in enumerate(goodput.items()):
        shares = [100 * cell['share'] for cell in by_load.values()]
        bounds = [[100 * bound for bound in cell['share_interval']] for cell in by_load.values()]
        middle = (len(goodput) - 1) / 2
        places = [place + width * (shift - middle) for place in range(len(by_load))]
        errors = [
            [max(0.0, share - low) for share, (low, _) in zip(shares, bounds, strict=True)],
            [max(0.0, high - share) for share, (_, high) in zip(shares, bounds, strict=True)],
        ]
        axes.bar(places, shares, width, color=_COLOURS[arm], label=_LABELS[arm], alpha=0.8)
        axes.errorbar(places, shares, errors, fmt='none', ecolor='black', capsize=3)
    first = next(iter(goodput.values()))
    for place, cell in enumerate(first.values()):
        possible = 100 * cell['oracle'] / cell['arrivals']
        label = 'possible, all known before' if place == 0 else '_nolegend_'
        axes.hlines(possible, place - 0.45, place + 0.45, color='black', label=label)
    arrivals = next(iter(first.values()))['arrivals']
    axes.set_xticks(range(len(first)), [f'{load} x' for load in first])
    axes.set_xlabel(f'rate of arrivals / capacity ({result["load"]["capacity_per_s"]:.2f} 1/s)')
    axes.set_ylabel('answered whole and on time [% of arrivals]')
    axes.set_title(f'Goodput under load: {arrivals} queries a bar, 95 % intervals')
    axes.set_ylim(0, 100)
    axes.legend(loc='upper center', bbox_to_anchor=(0.5, -0.14), ncols=3, fontsize='small')
    axes.grid(axis='y', alpha=0.3)


def draw_memory(axes: Axes, result: Mapping[str, Any]) -> None:
    """Draw the resident memory of the node's process over the number of queries."""
    counts, rss_kb = zip(*result['memory']['samples'], strict=True)
    low, high = result['memory']['slope_interval_kb_per_1000']
    axes.plot(counts, [kb / 1000 for kb in rss_kb], '.-', color='tab:blue')
    axes.axvline(counts[-1] / 2, color='tab:red', linewidth=1, label='asker killed, restarted')
    axes.set_xlabel('short queries so far')
    axes.set_ylabel("resident memory of the node's process [MB]")
    axes.set_ylim(0, 1.2 * max(rss_kb) / 1000)
    slope = result['memory_slope_kb_per_1000']
    axes.set_title(f'Memory: {slope:g} kB per 1,000 queries ({low:g} to {high:g})')
    axes.legend(loc='lower right', fontsize='small')
    axes.grid(alpha=0.3)
