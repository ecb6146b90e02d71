"""Tests that hang are ended with a traceback of every thread; some tests run alone.

`make test` runs the files side by side (pytest-xdist, `--dist loadfile`). Files marked `alone`
come last, and each of their tests waits until no other runs. In any other run, tests run one after
the other anyway.
"""

import faulthandler
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

THREADS = 'OMP_NUM_THREADS'
LONGEST_FIRST = (
    *('test/node/', 'test/worker/', 'test/client/', 'test/benchmark/', 'test/training/'),
    *('test/inference/', 'test/test_'),
)
"""Files whose names begin so take longer than the others: with short ones at the end, neither
process waits long for the other."""

faulthandler.enable()


def pytest_configure(config: Any) -> None:
    """Let tests that run side by side compute on one thread each, and so their processes.

    Two torch processes with two threads each slow each other ten times and more.
    """
    if _run_of(config):
        os.environ[THREADS] = '1'


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Order the files as they are to start: those that run alone come last."""
    if _run_of(config):
        items.sort(key=lambda item: (_is_alone(item), _place(item)))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: Any) -> Iterator[None]:
    """Run a test and its fixtures beside others of this run, or alone and with all threads."""
    run = _run_of(item.config)
    if not run:
        yield
        return
    with Path(tempfile.gettempdir(), f'timebill_ros-tests-{run}.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if _is_alone(item) else fcntl.LOCK_SH)
        with pytest.MonkeyPatch.context() as patch:
            if _is_alone(item):
                patch.delenv(THREADS)
            yield


def _run_of(config: Any) -> str:
    """Return the id of the side-by-side run that this process is one of; else nothing."""
    return str(getattr(config, 'workerinput', {}).get('testrunuid', ''))


def _place(item: Any) -> int:
    begins = [item.nodeid.startswith(name) for name in LONGEST_FIRST]
    return begins.index(True) if any(begins) else len(begins)


def _is_alone(item: Any) -> bool:
    return item.get_closest_marker('alone') is not None
