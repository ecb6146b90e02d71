"""Whether ROS can write its log files is known before rclpy fails over it."""

from pathlib import Path

import pytest

from timebill_ros import log_files
from timebill_ros.log_files import why_no_log_files


@pytest.fixture(autouse=True)
def no_variables(monkeypatch) -> None:
    for name in ('ROS_LOG_DIR', 'ROS_HOME', 'HOME'):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ('variables', 'folder'),
    [
        ({'ROS_LOG_DIR': '{}/given', 'ROS_HOME': '/nowhere', 'HOME': '/nowhere'}, 'given'),
        ({'ROS_LOG_DIR': '~/given', 'HOME': '{}'}, 'given'),
        ({'ROS_LOG_DIR': '', 'ROS_HOME': '{}/ros', 'HOME': '/nowhere'}, 'ros/log'),
        ({'HOME': '{}'}, '.ros/log'),
    ],
)
def test_the_folder_is_the_one_that_rcl_takes(
    monkeypatch, tmp_path: Path, variables: dict[str, str], folder: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    assert why_no_log_files() == ''
    assert (tmp_path / folder).is_dir()
    assert not list((tmp_path / folder).iterdir())


def test_a_folder_that_is_there_and_cannot_be_written_is_told(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path))

    def refuse(**_: object) -> None:
        raise OSError(30, 'Read-only file system')  # permissions do not hold for root

    monkeypatch.setattr(log_files.tempfile, 'NamedTemporaryFile', refuse)
    assert f'the log folder {tmp_path} cannot be written (Read-only file' in why_no_log_files()


def test_a_file_in_its_place_is_told(monkeypatch, tmp_path) -> None:
    (tmp_path / 'log').write_text('')
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path / 'log'))
    assert 'set ROS_LOG_DIR' in why_no_log_files()


def test_no_home_is_told_and_nothing_is_made(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    assert 'there is no HOME' in why_no_log_files()
    assert not list(tmp_path.iterdir())
