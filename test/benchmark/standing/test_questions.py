"""The standing context is as long as asked, and its questions differ."""

import pytest

from benchmark.standing.questions import context_of, questions


@pytest.mark.parametrize('words', [20, 500])
def test_a_context_has_the_length_that_is_asked_for(words: int) -> None:
    context = context_of(words, lambda text: len(text.split()), seed=0)
    assert words <= len(context.split()) < words + 12
    assert context != context_of(words, lambda text: len(text.split()), seed=1)
    assert context == context_of(words, lambda text: len(text.split()), seed=0)


def test_no_two_questions_are_alike() -> None:
    found = questions(21, seed=0)
    assert len(set(found)) == 21
    assert not any('{' in question for question in found)
