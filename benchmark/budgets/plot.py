"""Draws the paper's figures 7 and 8, with this machine's values."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from benchmark.budgets.arms import (
    EXPECTED,
    FIXED,
    FOUR_BIT,
    NO_MARGIN,
    ORACLE_LENGTH,
    ORACLE_SCORE,
    ORACLE_TIME,
    TIMEBILL,
    VANILLA,
)

matplotlib.use('Agg')

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

_NAMES = {
    VANILLA: 'no eviction',
    **{name: f'alpha = {alpha:.0%}' for name, alpha in FIXED.items()},
    FOUR_BIT: 'int4 weights',
    TIMEBILL: 'TimeBill',
    EXPECTED: 'policy expected',
}
_OUR_COLOURS = {TIMEBILL: 'tab:orange', EXPECTED: 'tab:green'}
_ORACLES = {
    NO_MARGIN: 'TimeBill, no margin',
    ORACLE_LENGTH: 'TimeBill, length known',
    ORACLE_TIME: 'smallest alpha in time, in hindsight',
    ORACLE_SCORE: 'best alpha in hindsight',
}
_TITLES = {'kill': 'Kill', 'skip_next': 'Skip-Next', 'partial': 'Partial'}


def draw_budgets(report: dict[str, Any], path: Path) -> None:
    """Write the figure: score and completion by budget and arm, a column a strategy."""
    strategies = report['results']
    figure, rows = plt.subplots(
        2, len(strategies), figsize=(6 * len(strategies), 8), layout='constrained', squeeze=False
    )
    for column, (strategy, budgets) in enumerate(strategies.items()):
        for axes, measure in zip(rows[:, column], ('score', 'completion'), strict=True):
            _draw_arms(axes, budgets, measure)
            axes.set_xlabel('time budget T [s]')
        rows[0][column].set_title(_TITLES[strategy])
    rows[0][0].set_ylabel('mean score')
    rows[1][0].set_ylabel('completed in time [%]')
    handles, labels = rows[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower center', ncols=(len(labels) + 1) // 2)
    counted = [name for name, task in report['tasks'].items() if task['counts_for_the_claim']]
    what = ', '.join(counted) or 'no task counts, so all of them'
    figure.suptitle(f'{report["target"]}, {report["n"]} items: {what}')
    figure.savefig(path, dpi=120)
    plt.close(figure)


def draw_factors(report: dict[str, Any], path: Path) -> None:
    """Write the figure: score and completion against k, a line a budget; dashed: expected."""
    results = report['results']
    figure, panels = plt.subplots(1, 2, figsize=(11, 4.5), layout='constrained')
    colours = plt.get_cmap('viridis')(np.linspace(0.0, 0.9, len(results)))
    for axes, measure, scale in zip(panels, ('score', 'completion'), (1, 100), strict=True):
        for colour, (budget, rows) in zip(colours, results.items(), strict=True):
            by_factor = {int(name): row for name, row in rows.items() if name.isdigit()}
            values = [scale * row[measure] for row in by_factor.values()]
            axes.plot(list(by_factor), values, 'o-', color=colour, label=f'T = {budget} s')
            axes.axhline(scale * rows[EXPECTED][measure], linestyle='--', color=colour)
        axes.set_xlabel('pessimistic factor k')
        axes.set_ylim(bottom=0)
        axes.grid(axis='y', alpha=0.3)
    panels[0].set_ylabel('mean score')
    panels[1].set_ylabel('completed in time [%]')
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside right center', reverse=True)
    figure.suptitle(
        f'Kill, N_max = {report["max_new_tokens"]}, {report["n"]} items; dashed: policy expected'
    )
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw_arms(axes: Axes, budgets: dict[str, Any], measure: str) -> None:
    measured = next(iter(budgets.values()))
    names = {arm: label for arm, label in _NAMES.items() if arm in measured}
    places, width = np.arange(len(budgets)), 0.8 / len(names)
    scale = 100 if measure == 'completion' else 1
    colours = plt.get_cmap('Blues')(np.linspace(0.25, 0.85, len(names)))
    for index, (arm, label) in enumerate(names.items()):
        heights = [scale * arms[arm][measure] for arms in budgets.values()]
        colour = _OUR_COLOURS.get(arm, colours[index])
        left = places + (index - (len(names) - 1) / 2) * width
        axes.bar(left, heights, width, label=label, color=colour)
    for (arm, label), marker in zip(_ORACLES.items(), ('+', '_', '2', 'x'), strict=True):
        heights = [scale * arms[arm][measure] for arms in budgets.values()]
        axes.plot(places, heights, marker, color='black', label=label)
    axes.set_xticks(places, list(budgets))
    axes.grid(axis='y', alpha=0.3)
