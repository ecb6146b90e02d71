"""The cache folder, and what stands in for it."""

import os
import pwd
import tempfile
from pathlib import Path

import pytest

from timebill_ros.inference.loading import cache_folder as module
from timebill_ros.inference.loading.cache_folder import cache_folder


@pytest.fixture(autouse=True)
def own_temporary_folder(monkeypatch, tmp_path):
    """A folder for temporary files, and nothing that is remembered."""
    (tmp_path / 'tmp').mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'tmp'))
    module._writable.cache_clear()
    yield
    module._writable.cache_clear()


def refuse(monkeypatch, below: Path, error: OSError) -> None:
    """Let nothing be written below a folder: permissions do not hold for root."""
    write = module._try_to_write

    def refused(folder):
        if folder.is_relative_to(below):
            raise error
        write(folder)

    monkeypatch.setattr(module, '_try_to_write', refused)


def test_it_is_the_users_cache(monkeypatch, tmp_path, caplog) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    assert cache_folder() == tmp_path / 'cache' / 'timebill_ros'
    assert cache_folder().is_dir()
    assert not caplog.text


def test_one_that_cannot_be_written_is_replaced_with_a_warning(
    monkeypatch, tmp_path, caplog
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    refuse(monkeypatch, tmp_path / 'cache', OSError(30, 'Read-only file system'))
    folder = cache_folder()
    assert folder == tmp_path / 'tmp' / f'timebill_ros-{os.getuid()}'
    assert folder.stat().st_mode & 0o077 == 0
    assert 'Read-only file system' in caplog.text and str(folder) in caplog.text
    assert cache_folder() == folder
    assert caplog.text.count('is used instead') == 1


def test_a_file_in_its_place_is_no_end(monkeypatch, tmp_path, caplog) -> None:
    (tmp_path / 'cache').write_text('')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    assert cache_folder().is_relative_to(tmp_path / 'tmp')


def test_a_user_id_without_entry_and_home_is_no_end(monkeypatch, tmp_path, caplog) -> None:
    def no_entry(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, 'getpwuid', no_entry)
    for name in ('HOME', 'XDG_CACHE_HOME'):
        monkeypatch.delenv(name, raising=False)
    assert cache_folder().is_relative_to(tmp_path / 'tmp')
    assert 'this user has no home folder' in caplog.text


def test_a_home_that_is_not_known_is_no_end(monkeypatch, tmp_path, caplog) -> None:
    monkeypatch.setattr(module.platformdirs, 'user_cache_path', lambda *_, **__: Path('~/.cache'))
    assert cache_folder().is_relative_to(tmp_path / 'tmp')
    assert 'no home folder' in caplog.text


def test_anothers_folder_of_that_name_is_not_used(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    refuse(monkeypatch, tmp_path / 'cache', OSError('full'))
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    (tmp_path / 'tmp' / f'timebill_ros-{os.getuid()}').symlink_to(elsewhere)
    folder = cache_folder()
    assert folder.resolve() != elsewhere and folder.is_relative_to(tmp_path / 'tmp')


def test_nowhere_to_write_is_a_sentence(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    refuse(monkeypatch, tmp_path, OSError(28, 'No space left on device'))
    with pytest.raises(ValueError, match=r'No space left on device.*set XDG_CACHE_HOME'):
        cache_folder()
