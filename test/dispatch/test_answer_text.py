import pytest
from hypothesis import given
from hypothesis import strategies as st

from timebill_ros.dispatch.answer_text import AnswerText


def whole(*pieces: str) -> str:
    text = AnswerText()
    for piece in pieces:
        text.add(piece)
    return text.whole_words


@pytest.mark.parametrize(
    ('pieces', 'expected'),
    [
        (['The', ' rob', 'ot'], 'The'),
        (['The', ' rob', 'ot', ' '], 'The robot'),
        (['Turn ', 'to 3.'], 'Turn to'),  # it may become 3.14
        (['Unfinish'], ''),
        ([' \n ', '\t'], ''),
        ([], ''),
        (['One.', '\n\n', 'Two'], 'One.'),
        (['机器', '人'], '机器人'),
        (['ロボット。', 'go'], 'ロボット。'),
    ],
)
def test_text_is_cut_back_to_its_last_whole_word(pieces: list[str], expected: str) -> None:
    assert whole(*pieces) == expected


@given(st.lists(st.text(alphabet='ab \n。人', max_size=4)), st.lists(st.booleans()))
def test_what_is_taken_joined_is_the_text_wherever_it_ends(
    pieces: list[str], takes: list[bool]
) -> None:
    text, taken = AnswerText(), ''
    for piece, take in zip(pieces, takes + [False] * len(pieces), strict=False):
        text.add(piece)
        if take:
            taken += text.take(text.whole_words)
    assert text.text == ''.join(pieces)
    assert text.text.startswith(text.whole_words)
    cut = taken + AnswerText.take(_copy(text), text.whole_words)
    assert cut == text.whole_words
    assert taken + text.take(text.text) == text.text


@given(st.lists(st.text(alphabet='ab \n。人', max_size=4)))
def test_pieces_make_no_difference_to_where_words_end(pieces: list[str]) -> None:
    assert whole(*pieces) == whole(''.join(pieces))


def _copy(text: AnswerText) -> AnswerText:
    other = AnswerText()
    other.__dict__.update(text.__dict__)
    return other
