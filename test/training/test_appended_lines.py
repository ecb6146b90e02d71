"""Files of JSON that only grow."""

from pathlib import Path

import pytest

from timebill_ros.training.appended_lines import AppendedLines, whole_lines


def test_lines_are_there_again_and_a_cut_one_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / 'folder' / 'f.jsonl'
    with AppendedLines(path) as lines:
        assert lines.found == b''
        lines.add({'a': 1})
        lines.add({'b': 'ü'})
    path.write_bytes(path.read_bytes()[:-3])
    with AppendedLines(path) as lines:
        assert lines.found == b'{"a": 1}\n'
        lines.add({'c': 2})
    assert whole_lines(path) == b'{"a": 1}\n{"c": 2}\n'


def test_a_file_is_added_to_by_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / 'f.jsonl'
    with AppendedLines(path) as lines:
        lines.add({'a': 1})
        with pytest.raises(ValueError, match='is being added to by another process'):
            AppendedLines(path)
        assert whole_lines(path) == b'{"a": 1}\n'
    with AppendedLines(path) as lines:
        assert lines.found == b'{"a": 1}\n'


def test_an_absent_file_has_no_lines(tmp_path: Path) -> None:
    assert whole_lines(tmp_path / 'absent') == b''
