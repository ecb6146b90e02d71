"""Draws the predictor benchmark."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from timebill_ros.training.length_data import LengthData, Split

matplotlib.use('Agg')

from matplotlib import pyplot as plt
from matplotlib.axes import Axes


def plot(
    report: dict[str, Any],
    predicted: dict[str, NDArray[np.float64]],
    data: LengthData,
    split: Split,
    path: Path,
) -> None:
    """Write the figure.

    Arguments:
        report: the JSON's content.
        predicted: lengths by arm, for all records.
        split: of whose test records the figure is.
    """
    figure, axes = plt.subplots(2, 2, figsize=(13, 11), layout='constrained')
    (scatter, arms), (sources, calibration) = axes
    _draw_scatter(scatter, predicted['ours'], data, split)
    _draw_arms(arms, report)
    _draw_sources(sources, report['by_source'])
    _draw_calibration(calibration, report)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw_scatter(
    axes: Axes, predicted: NDArray[np.float64], data: LengthData, split: Split
) -> None:
    kinds = np.array([data.records[row].kind.value for row in split.test])
    for kind in sorted(set(kinds)):
        rows = split.test[kinds == kind]
        axes.scatter(data.response_tokens[rows], predicted[rows], s=9, alpha=0.6, label=kind)
    axes.plot([1, 1100], [1, 1100], color='black', linewidth=1)
    axes.set_xscale('log')
    axes.set_yscale('log')
    axes.set_xlabel('actual length [tokens]')
    axes.set_ylabel('predicted, the median [tokens]')
    axes.set_title(f'Test prompts of the random split, n = {len(split.test)}')
    axes.legend(fontsize='small')


def _draw_arms(axes: Axes, report: dict[str, Any]) -> None:
    held_out = report['held_out_source']
    names = ['ours', *report['baselines']]
    for offset, source, label in (
        (-0.2, report, 'random split'),
        (0.2, held_out, 'held-out sources'),
    ):
        values = [source['ours']['mae'], *(row['mae'] for row in source['baselines'].values())]
        places = np.arange(len(names)) + offset
        axes.barh(places, values, height=0.4, label=f'{label}, n = {source["ours"]["n"]}')
    for name, style, label in (
        ('ceiling', ':', 'the target with other rounding'),
        ('line_break_behind_the_prompt', '--', 'the target with a line break behind the prompt'),
    ):
        again = report[name]
        label = f'{label}, n = {again["n"]}'
        axes.axvline(again['mae'], color='black', linestyle=style, label=label)
    axes.set_yticks(np.arange(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel('mean absolute error [tokens]')
    axes.set_title('Against the baselines')
    axes.legend(fontsize='small', loc='upper center', bbox_to_anchor=(0.5, -0.1), ncols=2)


def _draw_sources(axes: Axes, by_source: dict[str, dict[str, float]]) -> None:
    names = sorted(by_source, key=lambda name: by_source[name]['mae'])
    places = np.arange(len(names))
    axes.barh(places, [by_source[name]['mae'] for name in names], label='mean absolute error')
    axes.plot(
        [by_source[name]['mean_actual'] for name in names],
        places,
        'k|',
        label='mean length',
    )
    axes.set_yticks(
        places, [f'{name} ({by_source[name]["n"]})' for name in names], fontsize='x-small'
    )
    axes.set_xlabel('[tokens]')
    axes.set_title('By source (test prompts)')
    axes.legend(fontsize='small')


def _draw_calibration(axes: Axes, report: dict[str, Any]) -> None:
    quantiles = report['coverage_by_quantile']
    shares = [float(share) for share in quantiles]
    axes.plot(shares, list(quantiles.values()), 'o-', label='quantiles of the distribution')
    axes.plot([0, 1], [0, 1], color='black', linewidth=1)
    axes.set_xlabel('quantile')
    axes.set_ylabel('share of answers that are no longer')
    factors = axes.twiny()
    coverage = report['coverage_by_k']
    factors.plot(
        [int(k) for k in coverage],
        list(coverage.values()),
        's--',
        color='tab:orange',
        label='k times the median',
    )
    factors.set_xlabel('k')
    axes.set_ylim(0, 1.02)
    lines = [*axes.get_lines()[:1], *factors.get_lines()]
    axes.legend(lines, [str(line.get_label()) for line in lines], loc='lower right')
