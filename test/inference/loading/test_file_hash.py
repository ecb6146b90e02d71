"""A file's hash is computed once, and anew when the file has changed."""

import logging
import os
from pathlib import Path

import pytest

from timebill_ros.inference.loading import file_hash as module
from timebill_ros.inference.loading.file_hash import file_hash, remembered_hash

SIZE = 3 << 20


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / 'model.gguf'
    path.write_bytes(bytes(SIZE))
    return path


def change(path: Path, place: int, keeps_time: bool) -> None:
    """Change a byte and nothing else, the time of change neither if so wanted."""
    before = path.stat()
    with path.open('r+b') as file:
        file.seek(place)
        file.write(b'\x01')
    later = 0 if keeps_time else 1
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + later))


def test_the_remembered_hash_is_the_files_own(path: Path) -> None:
    assert remembered_hash(path) == file_hash(path) == remembered_hash(path)


def test_an_unchanged_file_is_not_read_whole_again(path: Path, monkeypatch) -> None:
    expected = remembered_hash(path)
    monkeypatch.setattr(module, 'file_hash', lambda path: pytest.fail('it was read whole'))
    assert remembered_hash(path) == expected


@pytest.mark.parametrize(
    ('place', 'keeps_time'), [(0, True), (SIZE - 1, True), (SIZE // 2, False)]
)
def test_a_changed_file_has_another_hash(path: Path, place: int, keeps_time: bool) -> None:
    before = remembered_hash(path)
    change(path, place, keeps_time)
    assert remembered_hash(path) == file_hash(path) != before


@pytest.mark.parametrize('content', [b'', b'{}', b'[]', b'\xff', b'{"sha256": '])
def test_a_damaged_record_is_written_anew(path: Path, content: bytes, tmp_path: Path) -> None:
    expected = remembered_hash(path)
    (record,) = tmp_path.glob('cache/timebill_ros/hashes/*.json')
    whole = record.read_bytes()
    record.write_bytes(content)
    assert remembered_hash(path) == expected
    assert record.read_bytes() == whole


def test_a_hash_that_cannot_be_kept_is_returned_all_the_same(
    path: Path, monkeypatch, caplog
) -> None:
    def full_disk(*arguments):
        raise OSError('No space left on device')

    monkeypatch.setattr(module, 'write_json', full_disk)
    with caplog.at_level(logging.WARNING):
        assert remembered_hash(path) == file_hash(path)
    assert str(path) in caplog.text and 'No space left on device' in caplog.text
