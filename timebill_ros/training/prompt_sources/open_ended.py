"""Our own open-ended requests, about the topics of other sources."""

from collections.abc import Iterator
from random import Random

from timebill_ros.training.archive import Archive
from timebill_ros.training.prompt_sources.long_context import closed_book
from timebill_ros.training.prompt_sources.long_context import topics as titles
from timebill_ros.training.prompt_sources.olmo_eval import open_questions

_ABOUT_ONE = (
    'What is {0}?',
    'Tell me about {0}.',
    'Explain {0} to a child of ten.',
    'Write a detailed article about {0}.',
    'Write a short story in which {0} matters.',
    'Write a poem about {0}.',
    'List ten facts about {0}.',
    'Name three things that have to do with {0}.',
    'Describe {0} in one sentence.',
    'Describe {0} in about 100 words.',
    'Write a letter to a friend about {0}.',
    'Write a dialogue between two people who talk about {0}.',
    'Plan a one-hour lesson on {0}, with times.',
    'What are common misunderstandings about {0}?',
)
_ABOUT_TWO = (
    'Compare {0} and {1}.',
    'Make a table that compares {0} and {1}.',
    'Which do you find more interesting, {0} or {1}, and why?',
    'Write a debate about {0} and {1}, with three arguments on each side.',
)
_REASKED = (
    'Write a few paragraphs that answer this question: {0}',
    'Answer in detail, with background: {0}',
    'What would one need to know to answer this? {0}',
    'Answer as a teacher would, step by step: {0}',
    'Give a short answer first, then a long explanation: {0}',
)


def topics(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield requests about encyclopaedia topics."""
    known = titles(archive)
    for _ in range(count):
        form = random.choice(_ABOUT_ONE + _ABOUT_TWO)
        yield form.format(*random.sample(known, 2))


def reasked_hops(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield HotpotQA's questions, with a request for a long answer."""
    for question in closed_book(archive, count, random):
        yield random.choice(_REASKED).format(question)


def reasked_searches(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield search-box questions, with a request for a long answer."""
    for question in open_questions(archive, count, random):
        yield random.choice(_REASKED).format(question)
