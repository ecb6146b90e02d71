"""Draws the deadline benchmark: distance of kills, time of refusals, effect of load."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from benchmark.deadlines.asker import Record
from benchmark.deadlines.load.plot import draw_goodput, draw_memory
from benchmark.deadlines.summary import REFUSALS, kill_earliness_ms, refusal_ms

matplotlib.use('Agg')

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

_COLOURS = {'idle': 'tab:blue', 'loaded': 'tab:orange'}


def plot(by_condition: dict[str, list[Record]], result: Mapping[str, Any], path: Path) -> None:
    """Write the figure.

    Arguments:
        by_condition: the records under 'idle' and 'loaded'.
        result: the JSON's content.
    """
    figure, axes = plt.subplots(2, 2, figsize=(11, 9.5), layout='constrained')
    (kills, refusals), (goodput, memory) = axes
    _draw_kills(kills, by_condition)
    _draw_refusals(refusals, by_condition)
    draw_goodput(goodput, result)
    draw_memory(memory, result)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw_kills(axes: Axes, by_condition: dict[str, list[Record]]) -> None:
    axes.axvspan(0, 25, color='tab:green', alpha=0.15, label='aim: 25 to 0 ms before')
    axes.axvline(0, color='black', linewidth=1)
    jitter = np.random.default_rng(0)
    labels: list[str] = []
    for condition, records in by_condition.items():
        for when, name in (('stamp_ns', 'published'), ('received_ns', 'received')):
            values = kill_earliness_ms(records, when)
            heights = len(labels) + jitter.uniform(-0.3, 0.3, len(values))
            axes.scatter(values, heights, s=6, alpha=0.5, color=_COLOURS[condition])
            labels.append(f'{condition},\n{name}\nn = {len(values)}')
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_xaxis()
    axes.set_xlabel('time left to the deadline [ms]; negative: late')
    axes.set_title('KILLED: one dot a query')
    axes.legend(loc='lower right', fontsize='small')


def _draw_refusals(axes: Axes, by_condition: dict[str, list[Record]]) -> None:
    for condition, records in by_condition.items():
        for in_bursts, style, name in ((False, '-', 'one at a time'), (True, ':', 'in bursts')):
            values = np.sort(refusal_ms(records, REFUSALS, in_bursts))
            label = f'{condition}, {name}, n = {len(values)}'
            shares = np.arange(1, len(values) + 1) / max(1, len(values))
            axes.step(values, shares, style, where='post', color=_COLOURS[condition], label=label)
    axes.axvline(10, color='tab:green', linewidth=1, label='aim: p99 at most 10 ms, idle')
    axes.set_xscale('log')
    axes.set_xlabel('from asking to receipt of the reply [ms]')
    axes.set_ylabel('share of refusals')
    axes.set_title('Refused: QUEUE_FULL, EXPIRED, INVALID_QUERY')
    axes.legend(loc='upper center', bbox_to_anchor=(0.5, -0.14), ncols=2, fontsize='small')
    axes.grid(alpha=0.3)
