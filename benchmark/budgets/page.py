"""The budget benchmark's part of the results page, as Markdown."""

from typing import Any

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
from benchmark.report.tables import markdown_table

_NOT_MEASURED = 'Not measured.'
_ARMS = {
    VANILLA: 'no eviction',
    **{name: f'alpha = {alpha:.0%}' for name, alpha in FIXED.items()},
    FOUR_BIT: 'int4 weights',
    TIMEBILL: '**TimeBill**',
    EXPECTED: '**policy expected**',
    NO_MARGIN: 'TimeBill, delta = 0',
    ORACLE_LENGTH: 'TimeBill, length known',
    ORACLE_TIME: 'smallest alpha in time, in hindsight',
    ORACLE_SCORE: 'best alpha in hindsight',
}
_STRATEGIES = {'kill': 'Kill', 'skip_next': 'Skip-Next', 'partial': 'Partial (not in the paper)'}


def setting(budgets: dict[str, Any] | None) -> str:
    """Return the section on what differs from the paper, and on the tasks."""
    rows = [('', 'paper', 'ours')]
    if budgets is None:
        return f'## What differs\n\n{_NOT_MEASURED}'
    machine = budgets['machine']
    tasks = [name for name, task in budgets['tasks'].items() if task['counts_for_the_claim']]
    where = machine['gpu'] or f'{machine["cpu"]}, {machine["cores"]} cores'
    budgets_s = ', '.join(f'{budget_s:g}' for budget_s in budgets['budgets_s'])
    predictor = f'{budgets["predictor"]}; k = {budgets["pessimistic_factor"]:g}'
    rows += [
        ('hardware', 'NVIDIA A40', where),
        ('target', 'Qwen2.5-7B-Instruct', f'{budgets["target"]}, {budgets["quantization"]}'),
        (
            'data',
            'LongBench',
            f'{", ".join(tasks) or "no task counts, so all"}: {budgets["n"]} items',
        ),
        ('budgets T [s]', '5 to 10', budgets_s),
        ('predicted length', 'Qwen2.5-0.5B, 512 buckets; k = 5', predictor),
        ('4-bit rival', 'AWQ', _rival(budgets)),
        ('run', '', f'{budgets["mode"]}, seed {budgets["seed"]}, {machine["date"]}'),
    ]
    return f'## What differs\n\n{markdown_table(rows)}\n\n{_tasks(budgets)}'


def _rival(budgets: dict[str, Any]) -> str:
    if budgets['quantization'] not in ('none', 'int8'):
        return 'none: every arm has the quantized target'
    is_measured = FOUR_BIT in _arms_of(budgets)
    return 'the same target, rounded to int4' if is_measured else 'none: there is no int4 step'


def _arms_of(budgets: dict[str, Any]) -> list[str]:
    """Return the arms that were measured, in the order of the page."""
    measured = next(iter(budgets['results']['kill'].values()))
    return [arm for arm in _ARMS if arm in measured]


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
        'a budget. Lengths are means [tokens]. Robot plans are graded by '
        f'{budgets["robot_plans_graded_by"]}.\n\n{markdown_table(rows)}'
    )


def scores(budgets: dict[str, Any] | None) -> list[str]:
    """Return the sections on each arm's score and completion, the aims, and the plans."""
    heading = '## Score and completion by budget'
    if budgets is None:
        return [f'{heading}\n\n{_NOT_MEASURED}']
    intro = (
        f"{heading}\n\nPaper: TimeBill's average score is the best at every T under both "
        'strategies, its completion rate about that of alpha = 95 %. Ours: mean score, '
        "completion, and the score's difference to TimeBill with its 95 % interval. Policy "
        'expected is not in the paper: the alpha with the largest (1 - alpha) times probability '
        'to be in time.\n\n'
        '![score and completion](../benchmark/results/budgets.png)'
    )
    return [
        intro,
        *(
            f'### {_STRATEGIES[strategy]}\n\n{_arms(found)}\n\n{_aims(budgets["aims"], strategy)}'
            for strategy, found in budgets['results'].items()
        ),
        _by_task(budgets),
        _diagnosis(budgets),
    ]


def _arms(found: dict[str, Any]) -> str:
    rows = [('', *(f'{budget} s' for budget in found))]
    for arm, label in _ARMS.items():
        if any(arm not in arms for arms in found.values()):
            continue
        cells = []
        for arms in found.values():
            low, high = arms[arm]['less_timebill']['interval']
            cell = f'{arms[arm]["score"]:.3f}, {arms[arm]["completion"]:.0%}'
            cells.append(cell if arm == TIMEBILL else f'{cell} ({low:+.3f} to {high:+.3f})')
        rows.append((label, *cells))
    return markdown_table(rows)


def _aims(aims: dict[str, Any], strategy: str) -> str:
    def said(arm: str, claim: str, exceptions: str) -> str:
        found = aims[arm][strategy]
        return 'yes' if found[claim] else f'no: {", ".join(found[exceptions])}'

    claims = (
        ('never_below_a_fixed_arm', 'below', 'no fixed arm scores more by more than the interval'),
        ('above_each_fixed_arm_somewhere', 'never_above', 'above each of them at some budget'),
        (
            'completes_as_often_as_alpha_95',
            'completes_less_often',
            'completion at least that of alpha = 95 % less 2 points',
        ),
    )
    rows = [('', *(_ARMS[arm] for arm in aims))]
    rows += [(text, *(said(arm, claim, but) for arm in aims)) for claim, but, text in claims]
    return markdown_table(rows)


def _by_task(budgets: dict[str, Any]) -> str:
    measured = _arms_of(budgets)
    rows: list[tuple[str, ...]] = [('Kill', *(_ARMS[arm] for arm in measured))]
    for name, task in budgets['tasks'].items():
        found = budgets['by_task'][name]['kill'].values()
        means = (sum(arms[arm]['score'] for arms in found) / len(found) for arm in measured)
        counts = '' if task['counts_for_the_claim'] else ' (control)'
        rows.append((f'{name}{counts}', *(f'{mean:.3f}' for mean in means)))
    return f'### By task\n\nMean score over the six budgets.\n\n{markdown_table(rows)}'


def _diagnosis(budgets: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]] = [
        ('T', 'prefill in time', 'mean alpha', 'length covered', 'worst case held')
    ]
    for budget, found in budgets['diagnosis'].items():
        rows.append((f'{budget} s', *(percent(value) for value in found.values())))
    return (
        '### What TimeBill planned\n\nOf the items whose prefill left time: the share whose '
        'k * N_hat was not shorter than the answer at the ratio used, and the share of those '
        f'that stayed within t_wcet.\n\n{markdown_table(rows)}\n\n{_sample(budgets)}'
    )


def _sample(budgets: dict[str, Any]) -> str:
    sample = budgets['unrounded_sample']
    return (
        f'Of {sample["n"]} items answered for real, with alpha unrounded, {sample["completed"]} '
        f'were complete in time; the replay said {sample["replay_completed"]}, and the same of '
        f'{sample["agree"]} of them.'
    )


def leverage(budgets: dict[str, Any] | None) -> str:
    """Return the section on what eviction saves, and what it does to lengths."""
    heading = '## What alpha alone buys'
    if budgets is None:
        return f'{heading}\n\n{_NOT_MEASURED}'
    found, grown = budgets['leverage'], budgets['length_ratios']
    lengths = '; '.join(
        f'{float(alpha):.0%}: {ratio["median"]:.2f} ({ratio["grew"]:.0%} grew)'
        for alpha, ratio in grown.items()
    )
    return (
        f'{heading}\n\nAt alpha = {found["alpha"]:.0%} a decoding step takes '
        f'{percent(found["of_a_step_measured"])} less (the time model says '
        f'{percent(found["of_a_step_predicted"])}); the whole, with prefill, eviction and the '
        f'answer as long as it then is, {percent(found["of_the_whole_measured"])} less. '
        f'N(alpha) / N(0), median: {lengths}.'
    )


def plain_name(arm: str) -> str:
    """Return an arm as it is read; what is none stays."""
    return _ARMS.get(arm, arm).strip('*')


def percent(value: float | None) -> str:
    """Return a share as it is read; '-' for none."""
    return '-' if value is None else f'{value:.0%}'
