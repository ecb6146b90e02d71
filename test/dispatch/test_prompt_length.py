"""Tokens by bytes: a chat template of some tokens, and some tokens for each byte."""

import pytest

from timebill_ros.dispatch.prompt_length import PromptLength


def learned(*prompts: tuple[int, int]) -> PromptLength:
    length = PromptLength()
    for size, tokens in prompts:
        length.observe(size, tokens)
    return length


def test_before_the_first_prompt_four_bytes_are_a_token() -> None:
    assert learned().tokens(4000) == 1000
    assert learned().tokens(0) == 1


@pytest.mark.parametrize(('size', 'tokens'), [(1, 30), (50, 40)])
def test_short_prompts_tell_of_the_template_and_not_of_long_prompts(
    size: int, tokens: int
) -> None:
    length = learned(*30 * [(size, tokens)])
    assert length.tokens(size) == pytest.approx(tokens, abs=1)
    assert 950 < length.tokens(4000) < 1150


@pytest.mark.parametrize('tokens', [500, 3000, 6000])
def test_long_prompts_tell_how_many_tokens_a_byte_is(tokens: int) -> None:
    length = learned(*20 * [(6000, tokens)])
    assert length.tokens(12000) == pytest.approx(2 * tokens, rel=0.05)


def test_short_and_long_prompts_are_told_apart() -> None:
    length = learned(*20 * [(50, 40), (6000, 3000)])
    assert length.tokens(50) == pytest.approx(40, abs=5)
    assert length.tokens(6000) == pytest.approx(3000, rel=0.05)


def test_the_last_prompts_count() -> None:
    length = learned(*100 * [(6000, 1500)], *60 * [(6000, 3000)])
    assert length.tokens(6000) == pytest.approx(3000, rel=0.1)
