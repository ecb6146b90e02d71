"""ROS's log files: rclpy does not start where it cannot write them, and nobody here needs them."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

_WITHOUT_LOG_FILES = ('--ros-args', '--disable-external-lib-logs', '--')


def ros_arguments(arguments: Sequence[str], no_log_files: str) -> list[str]:
    """Return the arguments for rclpy.init().

    Arguments:
        arguments: of the process.
        no_log_files: of why_no_log_files(). If it is not '', the log goes to the console and to
            /rosout only.
    """
    return [*arguments, *(_WITHOUT_LOG_FILES if no_log_files else ())]


def why_no_log_files() -> str:
    """Return why ROS cannot write its log files, as a sentence; '' if it can."""
    folder = _log_folder()
    try:
        if folder.startswith('~'):
            raise OSError('there is no HOME')
        Path(folder).mkdir(parents=True, exist_ok=True)
        # A folder that is there may still be read-only.
        with tempfile.NamedTemporaryFile(dir=folder, prefix='.writable-'):
            return ''
    except OSError as error:
        return (
            f'the log folder {folder} cannot be written ({error.strerror or error}): the log goes '
            'to the console and to /rosout only; set ROS_LOG_DIR to a folder that can be'
        )


def _log_folder() -> str:
    """Return the folder as rcl finds it; it begins with '~' if there is no HOME."""
    folder = os.environ.get('ROS_LOG_DIR')
    if not folder:
        folder = f'{os.environ.get("ROS_HOME") or "~/.ros"}/log'
    home = os.environ.get('HOME')
    return home + folder[1:] if home and folder.startswith('~') else folder
