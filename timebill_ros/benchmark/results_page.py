"""Writes docs/results.md from the JSON of the benchmarks: the paper's figures beside ours."""

import json
from pathlib import Path
from typing import Any

from timebill_ros.benchmark.budget_arms import FIXED, ORACLE_LENGTH, TIMEBILL, VANILLA

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
_ARMS = {
    VANILLA: 'no eviction',
    **{name: f'alpha = {alpha:.0%}' for name, alpha in FIXED.items()},
    TIMEBILL: '**TimeBill**',
    ORACLE_LENGTH: 'TimeBill, length known',
}
_STRATEGIES = {'kill': 'Kill', 'skip_next': 'Skip-Next', 'partial': 'Partial (not in the paper)'}


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
        'from `timebill_ros/benchmark/results/*.json`; not to be edited by hand.',
        _setting(budgets),
        _predictor(_read(results / 'predictor.json')),
        _estimator(_read(results / 'estimator.json')),
        *_scores(budgets),
        _factors(factors),
        _leverage(budgets),
    ]
    return '\n\n'.join(sections) + '\n'


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text()) if path.is_file() else None


def _setting(budgets: dict[str, Any] | None) -> str:
    rows = [('', 'paper', 'ours')]
    if budgets is None:
        return f'## What differs\n\n{NOT_MEASURED.capitalize()}.'
    machine = budgets['machine']
    tasks = [name for name, task in budgets['tasks'].items() if task['counts_for_the_claim']]
    where = machine['gpu'] or f'{machine["cpu"]}, {machine["cores"]} cores'
    budgets_s = ', '.join(f'{budget_s:g}' for budget_s in budgets['budgets_s'])
    predictor = f'{budgets["predictor"]}; k = {budgets["pessimistic_factor"]:g}'
    rows += [
        ('hardware', 'NVIDIA A40', where),
        ('target', 'Qwen2.5-7B-Instruct', f'{budgets["target"]}, {budgets["quantization"]}'),
        ('data', 'LongBench', f'{", ".join(tasks) or "no task counts"}: {budgets["n"]} items'),
        ('budgets T [s]', '5 to 10', budgets_s),
        ('predicted length', 'Qwen2.5-0.5B, 512 buckets; k = 5', predictor),
        ('4-bit rival', 'AWQ', 'none: the target is in 4 bits in every arm'),
        ('run', '', f'{budgets["mode"]}, seed {budgets["seed"]}, {machine["date"]}'),
    ]
    return f'## What differs\n\n{_table(rows)}\n\n{_tasks(budgets)}'


def _tasks(budgets: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]] = [
        ('task', 'counts', 'n', 'score', 'chance', 'decoding', 'prompt', 'answer', 'by alpha')
    ]
    for name, task in budgets['tasks'].items():
        rows.append(
            (
                name,
                'yes' if task['counts_for_the_claim'] else 'control',
                str(task['n']),
                f'{task["score"]:.2f}',
                f'{task["chance"]:.2f}',
                f'{task["decode_share"]:.0%}',
                f'{task["prompt_tokens"]["mean"]:.0f}',
                f'{task["response_tokens"]["mean"]:.0f}',
                ' / '.join(f'{score:.2f}' for score in task['scores_by_alpha'].values()),
            )
        )
    return (
        'A task counts if its unevicted answers score above 0.15 and above chance, and decoding '
        'is at least 30 % of the time; the others are controls. Chance is what the answers score '
        'as answers to another question of the task. By alpha: 0 / 25 / 50 / 75 / 95 %, without '
        f'a budget. Lengths are means [tokens].\n\n{_table(rows)}'
    )


def _predictor(found: dict[str, Any] | None) -> str:
    rows = [('MAE / RMSE / R2 [tokens]', 'paper', 'ours')]
    ours = _lengths(found['ours']) if found else NOT_MEASURED
    first, *others = _PAPER_PREDICTORS
    rows.append((first, _PAPER_PREDICTORS[first], ours))
    rows += [(name, _PAPER_PREDICTORS[name], '') for name in others]
    for name, values in (found or {}).get('baselines', {}).items():
        rows.append((f'our baseline: {name}', '', _lengths(values)))
    if found and 'ceiling' in found:
        rows.append(('other numerics of the same target', '', _lengths(found['ceiling'])))
    return f'## Response length predictor\n\n{_table(rows)}'


def _lengths(values: dict[str, float]) -> str:
    return ' / '.join(
        f'{values[name]:.{digits}f}'
        for name, digits in (('mae', 2), ('rmse', 2), ('r2', 3))
        if name in values
    )


def _estimator(found: dict[str, Any] | None) -> str:
    rows = [
        ('MAPE', 'paper', 'ours'),
        ('prefill', '1.22 %', f'{found["prefill_mape"]:.2f} %' if found else NOT_MEASURED),
        ('decoding step', '1.69 %', f'{found["step_mape"]:.2f} %' if found else NOT_MEASURED),
        (
            'whole generations within t_wcet',
            'yes (figure)',
            f'{found["wcet_coverage"]:.1%} of {found["n"]}' if found else NOT_MEASURED,
        ),
    ]
    return f'## Execution time estimator\n\n{_table(rows)}'


def _scores(budgets: dict[str, Any] | None) -> list[str]:
    heading = '## Score and completion by budget'
    if budgets is None:
        return [f'{heading}\n\n{NOT_MEASURED.capitalize()}.']
    intro = (
        f"{heading}\n\nPaper: TimeBill's average score is the best at every T under both "
        'strategies, its completion rate about that of alpha = 95 %. Ours: mean score, '
        "completion, and the score's difference to TimeBill with its 95 % interval.\n\n"
        '![score and completion](../timebill_ros/benchmark/results/budgets.png)'
    )
    return [
        intro,
        *(
            f'### {_STRATEGIES[strategy]}\n\n{_arms(found)}\n\n{_aims(budgets["aims"][strategy])}'
            for strategy, found in budgets['results'].items()
        ),
        _diagnosis(budgets),
    ]


def _arms(found: dict[str, Any]) -> str:
    rows = [('', *(f'{budget} s' for budget in found))]
    for arm, label in _ARMS.items():
        cells = []
        for arms in found.values():
            low, high = arms[arm]['less_timebill']['interval']
            cell = f'{arms[arm]["score"]:.3f}, {arms[arm]["completion"]:.0%}'
            cells.append(cell if arm == TIMEBILL else f'{cell} ({low:+.3f} to {high:+.3f})')
        rows.append((label, *cells))
    return _table(rows)


def _aims(aims: dict[str, Any]) -> str:
    def said(holds: bool, what: str, exceptions: list[str]) -> str:
        return f'- {what}: {"yes" if holds else "no: " + ", ".join(exceptions)}.'

    return '\n'.join(
        (
            said(
                aims['never_below_a_fixed_arm'],
                'No fixed arm scores above TimeBill by more than the interval',
                aims['below'],
            ),
            said(
                aims['above_each_fixed_arm_somewhere'],
                'Above each of them at some budget',
                aims['never_above'],
            ),
            said(
                aims['completes_as_often_as_alpha_95'],
                'Completion at least that of alpha = 95 % less 2 points',
                aims['completes_less_often'],
            ),
        )
    )


def _diagnosis(budgets: dict[str, Any]) -> str:
    rows = [('T', 'prefill in time', 'mean alpha', 'length covered', 'worst case held')]
    for budget, found in budgets['diagnosis'].items():
        rows.append((f'{budget} s', *(_percent(value) for value in found.values())))
    return (
        '### What TimeBill planned\n\nOf the items whose prefill left time: the share whose '
        'k * N_hat was not shorter than the answer at the ratio used, and the share of those '
        f'that stayed within t_wcet.\n\n{_table(rows)}\n\n{_sample(budgets)}'
    )


def _percent(value: float | None) -> str:
    return '-' if value is None else f'{value:.0%}'


def _sample(budgets: dict[str, Any]) -> str:
    sample = budgets['unrounded_sample']
    return (
        f'Of {sample["n"]} items answered for real, with alpha unrounded, {sample["completed"]} '
        f'were complete in time; the replay said {sample["replay_completed"]}, and the same of '
        f'{sample["agree"]} of them.'
    )


def _factors(found: dict[str, Any] | None) -> str:
    heading = '## The pessimistic factor k, at the tightest budget, Kill'
    paper = 'Paper (T = 5 s): score and completion rise to k = 5, then the score falls.'
    if found is None:
        return f'{heading}\n\n{paper} Ours: {NOT_MEASURED}.'
    rows = [('k', *found['factors'])]
    rows.append(('score', *(f'{row["score"]:.3f}' for row in found['factors'].values())))
    rows.append(('completion', *(f'{row["completion"]:.0%}' for row in found['factors'].values())))
    return (
        f'{heading}\n\n{paper} Ours, T = {found["budget_s"]:g} s:\n\n{_table(rows)}\n\n'
        '![against k](../timebill_ros/benchmark/results/k.png)'
    )


def _leverage(budgets: dict[str, Any] | None) -> str:
    heading = '## What alpha alone buys'
    if budgets is None:
        return f'{heading}\n\n{NOT_MEASURED.capitalize()}.'
    found, grown = budgets['leverage'], budgets['length_ratios']
    lengths = '; '.join(
        f'{float(alpha):.0%}: {ratio["median"]:.2f} ({ratio["grew"]:.0%} grew)'
        for alpha, ratio in grown.items()
    )
    return (
        f'{heading}\n\nAt alpha = {found["alpha"]:.0%} a decoding step takes '
        f'{_percent(found["of_a_step_measured"])} less (the time model says '
        f'{_percent(found["of_a_step_predicted"])}); the whole, with prefill, eviction and the '
        f'answer as long as it then is, {_percent(found["of_the_whole_measured"])} less. '
        f'N(alpha) / N(0), median: {lengths}.'
    )


def _table(rows: list[Any]) -> str:
    head, *body = rows
    lines = [head, ['---'] * len(head), *body]
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)
