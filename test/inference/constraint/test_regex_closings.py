"""What closes a text for a regular expression: nothing that the model had still to say."""

import re

import pytest

from timebill_ros.core.constraint import Closing
from timebill_ros.inference.constraint.closing_check import ClosingCheck
from timebill_ros.inference.constraint.grammar import regex_grammar
from timebill_ros.inference.constraint.regex_closer import RegexCloser
from timebill_ros.inference.constraint.short_end import short_end
from timebill_ros.inference.constraint.vocabulary import Vocabulary
from timebill_ros.inference.constraint.written import Written


def closed(vocabulary: Vocabulary, pattern: str, text: str) -> list[str]:
    """Write a text, and return what it is closed to after each token; '': nothing closes it."""
    matcher = regex_grammar(vocabulary, pattern).start.deep_copy()
    written, closer = Written(vocabulary), RegexCloser(vocabulary)
    check = ClosingCheck(vocabulary, matcher, written)
    found, position = [], 0
    for token_id in vocabulary.tokens.tokenize_str(text):
        assert matcher.consume_token(token_id), (text, token_id)
        written.add(token_id)
        closer.update(written.text, matcher, check)
        closing: Closing | None = closer.closing
        if closing is None:
            found.append('')
            continue
        assert closing.safe_length >= position
        position = closing.safe_length
        found.append(written.text[:position] + closing.text)
        assert re.fullmatch(pattern, found[-1]), found[-1]
    return found


@pytest.mark.parametrize(
    ('pattern', 'text', 'expected'),
    [
        ('[0-9]+', '149592', ''),
        ('[0-9]+ m', '149592', ''),
        ('[0-9]+ m', '149592 ', '149592 m'),
        ('[0-9]{2} metres', '14', '14 metres'),
        ('[0-9]{2}(,[0-9]{3})? metres', '14', ''),
        ('[0-9]+([.][0-9]+)?', '3.', ''),
        ('-?[0-9]+', '-', ''),
        ('([0-9]+ )+', '12 34', '12 '),
        ('[0-9]+(, [0-9]+)*', '12, 34, 56', '12, 34'),
        ('(GO|GO HOME)', 'GO', 'GO'),
        ('[a-z ]+', 'in the kitch', 'in the'),
        (r'[a-z ]+\.', 'in the kitchen', 'in the.'),
        (r'[a-z ]+[!.?]', 'in the kitchen', 'in the.'),
        ('"[a-z ]*"', '"in the kitchen', '"in the"'),
        (r'\{"x": "[a-z ]*"\}', '{"x": "far away', '{"x": "far"}'),
        ('(left|right) now', 'le', 'left now'),
        ('[a-z, ]+', 'far, away', 'far,'),
        (r'ab(\.| cd( ef)?\.?)', 'ab', 'ab.'),
        (r'ab(\.| cd( ef)?\.?)', 'ab cd', 'ab cd'),
        ('(left|right)(-STOP| GO)', 'left', ''),
        ('(north|south)-[0-9]+', 'north-', ''),
        ('.{5}', 'ab', ''),
    ],
)
def test_a_text_is_closed_after_whole_words_and_numbers(
    vocabulary: Vocabulary, pattern: str, text: str, expected: str
) -> None:
    assert closed(vocabulary, pattern, text)[-1] == expected


def test_a_number_is_never_cut_while_it_grows(vocabulary: Vocabulary) -> None:
    pattern, text = '(at [0-9]+([.][0-9]+)? m, )+', 'at 149592.25 m, at 31415 m, '
    whole = ('', 'at 149592.25 m, ', 'at 149592.25 m, at 31415 m, ')
    assert set(closed(vocabulary, pattern, text)) <= set(whole)


@pytest.mark.parametrize(
    ('pattern', 'end'),
    [
        ('abc', 'abc'),
        ('(|long)end', None),
        ('[a-f0-9]{8}', None),
        ('[!.]', '.'),
        (r'\(\)', '()'),
        ('[-+](a|b)', None),
        ('[-+]a', None),
    ],
)
def test_an_end_chooses_no_words(vocabulary: Vocabulary, pattern: str, end: str | None) -> None:
    assert short_end(vocabulary, regex_grammar(vocabulary, pattern).start) == end
