"""Which prompts are taken, and in which order."""

import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from timebill_ros.training.prompt import Kind
from timebill_ros.training.prompt_packages import PACKAGES
from timebill_ros.training.prompt_set import LONGEST_CHARACTERS, prompt_set
from timebill_ros.training.prompt_sources import SOURCES, PromptSource


@pytest.fixture
def archives(tmp_path: Path) -> dict[str, Path]:
    with zipfile.ZipFile(tmp_path / 'p.whl', 'w'):
        return {'p': tmp_path / 'p.whl'}


def source(
    name: str, texts: Iterable[str], most: int = 1000, kind: Kind = Kind.SHORT_ANSWER
) -> PromptSource:
    texts = list(texts)
    return PromptSource(name, kind, most, 'p', lambda *_: texts)


def numbered(name: str, count: int) -> list[str]:
    return [f'{name} question {number}' for number in range(count)]


def test_the_same_question_is_taken_once(archives: dict[str, Path]) -> None:
    prompts = prompt_set(
        archives,
        0,
        [source('a', ['What is  it?', 'what is it']), source('b', ['WHAT IS IT?', 'x + 1'])],
    )
    assert Counter(prompt.source for prompt in prompts) == {'a': 1, 'b': 1}


def test_texts_that_do_not_suit_are_left_out(archives: dict[str, Path]) -> None:
    texts = [
        '',
        '?',
        'この文は英語ではない',
        'x' * (LONGEST_CHARACTERS + 1),
        'half \ud800',
        'fine',
    ]
    assert [prompt.text for prompt in prompt_set(archives, 0, [source('a', texts)])] == ['fine']


def test_a_source_gives_no_more_than_its_share(archives: dict[str, Path]) -> None:
    prompts = prompt_set(archives, 0, [source('a', numbered('a', 50), most=7)])
    assert len(prompts) == 7


def test_the_seed_decides_what_is_chosen_and_in_which_order(archives: dict[str, Path]) -> None:
    sources = [source('a', numbered('a', 50), most=20), source('b', numbered('b', 30))]
    assert prompt_set(archives, 1, sources) == prompt_set(archives, 1, sources)
    assert prompt_set(archives, 1, sources) != prompt_set(archives, 2, sources)


def test_every_beginning_has_each_source_in_proportion(archives: dict[str, Path]) -> None:
    shares = {'a': 60, 'b': 30, 'c': 10}
    prompts = prompt_set(archives, 3, [source(n, numbered(n, k)) for n, k in shares.items()])
    for length in range(1, len(prompts) + 1):
        found = Counter(prompt.source for prompt in prompts[:length])
        for name, share in shares.items():
            assert abs(found[name] - length * share / 100) <= 2


def test_sources_have_names_of_their_own_and_pinned_packages() -> None:
    assert len({source.name for source in SOURCES}) == len(SOURCES)
    assert {source.package for source in SOURCES} == set(PACKAGES)


def test_the_sources_can_give_six_thousand_prompts_of_every_kind() -> None:
    most = Counter[Kind]()
    for each in SOURCES:
        most[each.kind] += each.most
    assert most.total() >= 6000
    assert all(most[kind] >= 0.1 * most.total() for kind in Kind)
