"""The budget benchmark on the screen."""

from typing import Any

from benchmark.budgets.arms import TIMEBILL


def task_table(report: dict[str, Any]) -> str:
    """Return a row a task: what its unevicted answers are like."""
    lines = [
        f'{"task":12} {"claim":>5} {"n":>4} {"score":>6} {"chance":>6} {"decode":>6} '
        f'{"N_x":>6} {"N":>5}  score by alpha'
    ]
    for name, task in report['tasks'].items():
        scores = ' '.join(f'{score:.2f}' for score in task['scores_by_alpha'].values())
        lines.append(
            f'{name:12} {"yes" if task["counts_for_the_claim"] else "no":>5} {task["n"]:4} '
            f'{task["score"]:6.2f} {task["chance"]:6.2f} {100 * task["decode_share"]:5.0f}% '
            f'{task["prompt_tokens"]["mean"]:6.0f} {task["response_tokens"]["mean"]:5.0f}  '
            f'{scores}'
        )
    if not any(task['counts_for_the_claim'] for task in report['tasks'].values()):
        lines.append('No task counts for the claim: what follows is of all items, and no proof.')
    return '\n'.join(lines)


def budget_table(report: dict[str, Any]) -> str:
    """Return, for each strategy, score and completion of each arm at each budget."""
    parts = []
    for strategy, budgets in report['results'].items():
        header = ''.join(f'{f"{budget} s":>12}' for budget in budgets)
        parts.append(f'\n{strategy}: score, completion [%]\n{"":14}{header}')
        for arm in next(iter(budgets.values())):
            cells = ''.join(
                f'{arms[arm]["score"]:8.2f} {100 * arms[arm]["completion"]:3.0f}'
                for arms in budgets.values()
            )
            parts.append(f'{arm + (" *" if arm == TIMEBILL else ""):14}{cells}')
    return '\n'.join(parts)
