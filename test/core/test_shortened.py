"""Long texts of others become lines."""

from timebill_ros.core.shortened import shortened


def test_a_short_text_stays_and_is_one_line() -> None:
    assert shortened(' one\n  two ', 20) == 'one two'


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    text = shortened('a' * 600 + 'z' * 600, 100)
    assert len(text) <= 100
    assert text.startswith('aaaa') and text.endswith('zzzz') and ' ... ' in text
