"""The file of lengths: resumed, never mixed, without text."""

import dataclasses
import json
from pathlib import Path

import pytest

from timebill_ros.training.length_file import (
    LengthFile,
    LengthKey,
    LengthRecord,
    read_lengths,
)
from timebill_ros.training.prompt import Kind

KEY = LengthKey('tiny', 'abc', 'cpu', 'float32', 'none', 'native', 1.05, 1024, 'torch 1')


def record(name: str, tokens: int = 5) -> LengthRecord:
    return LengthRecord(name, 'a', Kind.REASONING, 10, tokens, 'EOS', 0.1, 0.2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / 'new' / 'lengths.jsonl'
    with LengthFile(path, KEY) as lengths:
        lengths.add(record('first'))
        lengths.add(record('second'))
    return path


def test_what_is_added_is_read_back(path: Path) -> None:
    assert read_lengths(path) == (KEY, [record('first'), record('second')])


def test_a_file_is_gone_on_with(path: Path) -> None:
    with LengthFile(path, KEY) as lengths:
        assert lengths.records == [record('first'), record('second')]
        lengths.add(record('third'))
    assert [each.sha256 for each in read_lengths(path)[1]] == ['first', 'second', 'third']


@pytest.mark.parametrize('cut', [1, 20])
def test_a_last_line_that_was_cut_off_is_dropped(path: Path, cut: int) -> None:
    path.write_bytes(path.read_bytes()[:-cut])
    with LengthFile(path, KEY) as lengths:
        assert lengths.records == [record('first')]
        lengths.add(record('third'))
    assert read_lengths(path)[1] == [record('first'), record('third')]


def test_a_header_that_was_cut_off_is_written_anew(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:10])
    with LengthFile(path, KEY) as lengths:
        lengths.add(record('first'))
    assert read_lengths(path) == (KEY, [record('first')])


@pytest.mark.parametrize(
    ('field', 'value', 'sentence'),
    [
        ('quantization', 'int4', "collected with quantization 'none', not 'int4'"),
        ('weights_hash', 'def', "collected with weights_hash 'abc', not 'def'"),
        ('max_new_tokens', 512, 'collected with max_new_tokens 1024, not 512'),
        ('step', 'generic', "collected with step 'native', not 'generic'"),
    ],
)
def test_another_key_is_refused_with_what_differs(
    path: Path, field: str, value: object, sentence: str
) -> None:
    before = path.read_bytes()
    with pytest.raises(ValueError, match=sentence):
        LengthFile(path, dataclasses.replace(KEY, **{field: value}))
    assert path.read_bytes() == before


@pytest.mark.parametrize('damage', ['nonsense', '{"sha256": "x"}', '[]'])
def test_a_damaged_line_is_named(path: Path, damage: str) -> None:
    lines = path.read_text().splitlines()
    path.write_text('\n'.join([lines[0], damage, lines[2], '']))
    with pytest.raises(ValueError, match='line 2: damaged'):
        read_lengths(path)


@pytest.mark.parametrize('content', ['{}\n', '[1]\n', '{"format": 99}\n'])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / 'x').write_text(content)
    with pytest.raises(ValueError, match='not a file of lengths'):
        LengthFile(tmp_path / 'x', KEY)


def test_a_file_that_is_absent_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='collect lengths first'):
        read_lengths(tmp_path / 'x')


def test_records_hold_nothing_but_hashes_names_and_numbers(path: Path) -> None:
    assert set(json.loads(path.read_text().splitlines()[1])) == {
        *('sha256', 'source', 'kind', 'prompt_tokens', 'response_tokens'),
        *('finish_reason', 'prefill_s', 'decode_s'),
    }
