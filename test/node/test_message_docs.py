"""What is written of the messages is what their files say."""

from pathlib import Path

import pytest

from timebill_ros.node import message_docs

ROOT = Path(__file__).parents[2]
FILES = sorted(path for kind in ('msg', 'srv', 'action') for path in ROOT.glob(f'{kind}/*.*'))


def test_the_page_is_as_make_reference_writes_it() -> None:
    page = (ROOT / 'docs' / 'messages.md').read_text()
    assert page == message_docs.markdown(ROOT), 'run: make reference'


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
def test_every_field_and_every_constant_has_a_meaning(path: Path) -> None:
    for section in message_docs.sections_of(path.read_text()):
        assert [name for _, name, meaning in section.fields if not meaning] == []
        for comment, constants in section.constants.items():
            assert [name for name, _, meaning in constants if not (meaning or comment)] == []


def test_constants_fields_defaults_and_parts_are_told_apart() -> None:
    request, reply = message_docs.sections_of(
        '# What it\n# does.\n\n# Values of kind.\nuint8 A=1  # first\n           # of two\n'
        'uint8 B=2  # second\n\n# The kind.\nuint8 kind\n# One of two:\n# its time.\nint32 a -1\n'
        'int32 b  # b only\n---\n# True: done.\nbool done\n'
    )
    assert request.introduction == 'What it does.'
    assert request.constants == {
        'Values of kind.': [('A', '1', 'first of two'), ('B', '2', 'second')]
    }
    assert request.fields == [
        ('uint8', 'kind', 'The kind.'),
        ('int32', 'a', 'One of two: its time.'),
        ('int32', 'b', 'One of two: its time. (b only)'),
    ]
    assert reply.fields == [('bool', 'done', 'True: done.')]


def test_a_line_that_is_none_of_these_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"neither a comment.*'uint8 9x'"):
        message_docs.sections_of('uint8 9x')


def test_the_page_is_written(tmp_path: Path) -> None:
    path = tmp_path / 'messages.md'
    assert message_docs.main([str(ROOT), str(path)]) == 0
    assert path.read_text() == message_docs.markdown(ROOT)
