"""The budget benchmark on the screen."""

from typing import Any

from benchmark.budgets.arms import TIMEBILL
from benchmark.report.tables import screen_table


def task_table(report: dict[str, Any]) -> str:
    """Return a row a task: what its unevicted answers are like."""
    rows: list[tuple[str, ...]] = [
        ('task', 'claim', 'n', 'score', 'chance', 'decode', 'N_x', 'N', 'score by alpha')
    ]
    for name, task in report['tasks'].items():
        rows.append(
            (
                name,
                'yes' if task['counts_for_the_claim'] else 'no',
                str(task['n']),
                f'{task["score"]:.2f}',
                f'{task["chance"]:.2f}',
                f'{task["decode_share"]:.0%}',
                f'{task["prompt_tokens"]["mean"]:.0f}',
                f'{task["response_tokens"]["mean"]:.0f}',
                ' '.join(f'{score:.2f}' for score in task['scores_by_alpha'].values()),
            )
        )
    table = screen_table(rows)
    if not any(task['counts_for_the_claim'] for task in report['tasks'].values()):
        table += '\nNo task counts for the claim: what follows is of all items, and no proof.'
    return table


def budget_table(report: dict[str, Any]) -> str:
    """Return, for each strategy, score and completion of each arm at each budget."""
    parts = []
    for strategy, budgets in report['results'].items():
        rows = [('', *(f'{budget} s' for budget in budgets))]
        for arm in next(iter(budgets.values())):
            found = (arms[arm] for arms in budgets.values())
            cells = (f'{row["score"]:.2f} {100 * row["completion"]:3.0f}' for row in found)
            rows.append((arm + (' *' if arm == TIMEBILL else ''), *cells))
        parts.append(f'\n{strategy}: score, completion [%]\n{screen_table(rows)}')
    return '\n'.join(parts)
