"""Collections of chat questions: IFBench, MT-Bench, LongBench-Write and the ChatterBot corpus."""

from collections.abc import Iterator
from random import Random

import yaml  # transformers depends on it

from timebill_ros.training.archive import Archive

_ENGLISH = 'chatterbot_corpus/data/english/'


def constrained(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield IFBench's questions, with constraints on the form of the answer."""
    return (row['prompt'] for row in archive.json_lines('ifbench/data/IFBench_test.jsonl'))


def first_turns(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield the first turn of MT-Bench's chats."""
    (name,) = archive.names('data/mt_bench/question.jsonl')
    return (row['turns'][0] for row in archive.json_lines(name))


def of_given_length(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield LongBench-Write's requests, each for a text of a given length."""
    (name,) = archive.names('resources/longbench_write_en.jsonl')
    return (row['prompt'] for row in archive.json_lines(name))


def small_talk(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield the first lines of the ChatterBot corpus's conversations."""
    for name in archive.names(_ENGLISH, '.yml'):
        if not name.endswith('/trivia.yml'):
            yield from _openings(archive, name)


def trivia(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield the ChatterBot corpus's trivia questions."""
    return _openings(archive, f'{_ENGLISH}trivia.yml')


def _openings(archive: Archive, name: str) -> Iterator[str]:
    for conversation in yaml.safe_load(archive.text(name))['conversations']:
        yield str(conversation[0])
