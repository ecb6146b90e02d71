"""virtualhome-eval: action sequences for a household robot.

If the package is installed (requirements-bench.txt), its simulator grades plans by the goals that
they meet. Else the grade is the F1 of their actions, compared with the data set's own plan. A
package that is only fetched as data is never run.
"""

import re
from collections.abc import Iterator
from functools import partial

from benchmark.budgets.tasks.household_simulator import HouseholdSimulator, is_installed
from benchmark.budgets.tasks.scores import action_f1
from benchmark.budgets.tasks.task import Material, Question

_PROMPTS = 'action_sequence/prompts/helm_prompts.json'
_PLANNED = re.compile(r'\[(\w+)\]((?: <[^>]+>)*)')
_OBJECT = re.compile(r'<([^>]+)>')
_WRITTEN = re.compile(r'"?(\w+)"?\s*:\s*\[([^\[\]]*)\]?')
Action = tuple[str, ...]


def plans(material: Material, lengths: Iterator[int]) -> Iterator[Question]:
    """Yield the package's prompts as they are; they are 2,000 to 3,200 tokens long."""
    archive = material.texts()
    (name,) = archive.names(_PROMPTS)
    programs = {
        path.rpartition('/file')[2].removesuffix('.txt'): path
        for path in archive.names('executable_programs/', '.txt')
    }
    rows = [row for row in archive.json(name) if row['identifier'] in programs]
    material.random.shuffle(rows)
    simulator = HouseholdSimulator() if is_installed() else None
    for row, _ in zip(rows, lengths, strict=False):
        identifier, prompt = row['identifier'], row['llm_prompt'].strip()
        expected = planned(archive.text(programs[identifier]))
        if simulator and simulator.can_be_met(identifier):
            yield Question(prompt, partial(simulator.goals_met, identifier))
        elif expected and not simulator:
            yield Question(prompt, partial(graded, expected))


def grader() -> str:
    """Return by what plans are graded."""
    return 'goals met in the simulator' if is_installed() else 'F1 of the actions'


def planned(program: str) -> list[Action]:
    """Return the actions of a program: lines like '[WALK] <home_office> (1)'."""
    return [
        (action.upper(), *_OBJECT.findall(objects))
        for action, objects in _PLANNED.findall(re.sub(r' \([\d.]+\)', '', program))
    ]


def graded(expected: list[Action], answer: str) -> float:
    """Grade '{"WALK": ["home_office"], ...}', also when it is cut off or not quite JSON."""
    given = [
        (action.upper(), *re.findall(r'[\w-]+', objects))
        for action, objects in _WRITTEN.findall(answer)
    ]
    return action_f1(expected, given)
