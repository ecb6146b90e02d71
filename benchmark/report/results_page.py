"""Writes docs/results.md from the JSON of the benchmarks: the paper's figures beside ours."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark.budgets.page import leverage, percent, plain_name, scores, setting
from benchmark.report.tables import markdown_table

PAGE = Path(__file__).parents[2] / 'docs' / 'results.md'
NOT_MEASURED = 'not measured'
_PAPER_PREDICTORS = {
    'TimeBill, 512 buckets': '42.71 / 78.13 / 0.723',
    'TimeBill, 256 buckets': '44.15',
    'TimeBill, 128 buckets': '48.95',
    'TimeBill, regression': '64.21',
    'ProxyModel (BERT, 5 classes)': '105.72',
    'S3 (DistilBERT, 10 classes)': '108.96',
}
_BOUNDS = {
    'by_mean': "ours, by the distribution's mean instead of its median",
    'ceiling': 'the target itself, with other rounding',
    'line_break_behind_the_prompt': 'the target itself, with a line break behind the prompt',
}


def write_results_page(results: Path, page: Path = PAGE) -> None:
    """Write the page.

    Arguments:
        results: the folder of the JSON files; what is absent is said to be not measured.
        page: the file; its folder is made if absent.
    """
    page.parent.mkdir(exist_ok=True)
    page.write_text(results_page(results))


def results_page(results: Path) -> str:
    """Return the page as Markdown."""
    budgets, factors = _read(results / 'budgets.json'), _read(results / 'k.json')
    sections = [
        "# The paper's tables, and ours\n\nWritten by `make bench-budgets` and `make bench-k` "
        'from `benchmark/results/*.json`; not to be edited by hand.',
        setting(budgets),
        _predictor(_read(results / 'predictor.json')),
        _estimator(_read(results / 'estimator.json')),
        *scores(budgets),
        _factors(factors),
        leverage(budgets),
    ]
    return '\n\n'.join(sections) + '\n'


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text()) if path.is_file() else None


def _predictor(found: dict[str, Any] | None) -> str:
    rows = [('MAE / RMSE / R2 [tokens]', 'paper', 'ours')]
    ours = _lengths(found['ours']) if found else NOT_MEASURED
    first, *others = _PAPER_PREDICTORS
    rows.append((first, _PAPER_PREDICTORS[first], ours))
    rows += [(name, _PAPER_PREDICTORS[name], '') for name in others]
    for name, values in (found or {}).get('baselines', {}).items():
        rows.append((f'our baseline: {name}', '', _lengths(values)))
    for name, label in _BOUNDS.items():
        if found and name in found:
            rows.append((label, '', _lengths(found[name])))
    return f'## Response length predictor\n\n{markdown_table(rows)}'


def _lengths(values: dict[str, float]) -> str:
    return ' / '.join(
        f'{values[name]:.{digits}f}'
        for name, digits in (('mae', 2), ('rmse', 2), ('r2', 3))
        if name in values
    )


def _estimator(found: dict[str, Any] | None) -> str:
    rows = [('MAPE', 'paper', 'ours')]
    for label, paper, text in (
        ('prefill', '1.22 %', '{prefill_mape:.2f} %'),
        ('decoding step', '1.69 %', '{step_mape:.2f} %'),
        ('whole generations within t_wcet', 'yes (figure)', '{wcet_coverage:.1%} of {n}'),
        ('the same, drift followed', '', '{with_drift[wcet_coverage]:.1%}'),
    ):
        rows.append((label, paper, text.format_map(found) if found else NOT_MEASURED))
    return f'## Execution time estimator\n\n{markdown_table(rows)}'


def _factors(found: dict[str, Any] | None) -> str:
    heading = '## The pessimistic factor k, Kill'
    paper = 'Paper (T = 5 s): score and completion rise to k = 5, then the score falls.'
    if found is None:
        return f'{heading}\n\n{paper} Ours: {NOT_MEASURED}.'
    results = found['results']
    by_factor = {
        budget: {name: row for name, row in rows.items() if name.isdigit()}
        for budget, rows in results.items()
    }
    return (
        f'{heading}\n\n{paper} Ours, N_max = {found["max_new_tokens"]}, {found["n"]} items, '
        'score and completion by k, and of what has none:\n\n'
        f'{_by_factor(results, _outcome)}\n\n'
        'What was planned, as above: mean alpha, length covered, worst case held.\n\n'
        f'{_by_factor(by_factor, _plan)}\n\n'
        '![against k](../benchmark/results/k.png)'
    )


def _by_factor(budgets: dict[str, Any], cell: Callable[[dict[str, float]], str]) -> str:
    return markdown_table(
        [
            ('T', *(plain_name(arm) for arm in next(iter(budgets.values())))),
            *((f'{budget} s', *map(cell, rows.values())) for budget, rows in budgets.items()),
        ]
    )


def _outcome(row: dict[str, float]) -> str:
    return f'{row["score"]:.3f}, {row["completion"]:.0%}'


def _plan(row: dict[str, float]) -> str:
    return ' / '.join(
        percent(row[name]) for name in ('mean_alpha', 'length_covered', 'worst_case_held')
    )
