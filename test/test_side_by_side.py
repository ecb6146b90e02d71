"""Tests run side by side in ROS domains of their own, and those marked alone run alone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NOTING = """
import os, time, pytest
from pathlib import Path

def note(name):
    started = time.monotonic()
    time.sleep(0.3)
    threads = os.environ.get('OMP_NUM_THREADS', 'all')
    line = f'{name} {started} {time.monotonic()} {threads} {os.getpid()}'
    Path(__file__).with_name(f'{name}.txt').write_text(line)
"""


def test_no_two_processes_are_in_one_domain() -> None:
    script = 'from support.ros_domain import next_domain as d; print(d(), flush=True); input()'
    others = [
        subprocess.Popen(
            [sys.executable, '-c', script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=HERE,
        )
        for _ in range(3)
    ]
    domains = [other.stdout.readline().strip() for other in others if other.stdout]
    for other in others:
        other.communicate('\n', timeout=20)
    assert len(set(domains)) == 3
    assert all(1 <= int(domain) <= 101 for domain in domains)


def test_a_file_is_run_by_one_process_and_alone_with_all_threads(tmp_path: Path) -> None:
    pytest.importorskip('xdist')
    shutil.copy(HERE / 'conftest.py', tmp_path)
    for file in ('a', 'b', 'timed'):
        mark = 'pytestmark = pytest.mark.alone' if file == 'timed' else ''
        tests = [f"def test_{number}(): note('{file}{number}')" for number in range(3)]
        (tmp_path / f'test_{file}.py').write_text('\n'.join([NOTING, mark, *tests]))
    environment = {key: value for key, value in os.environ.items() if 'PYTEST' not in key}
    environment.pop('OMP_NUM_THREADS', None)
    done = subprocess.run(
        [
            sys.executable,
            '-m',
            'pytest',
            '-n',
            '2',
            '--dist',
            'loadfile',
            '--no-loadscope-reorder',
            str(tmp_path),
        ],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    noted = [path.read_text().split() for path in sorted(tmp_path.glob('*.txt'))]
    spans = {name: (float(start), float(end)) for name, start, end, *_ in noted}
    assert len(spans) == 9
    for timed in ('timed0', 'timed1', 'timed2'):
        start, end = spans.pop(timed)
        assert not any(begun < end and ended > start for begun, ended in spans.values())
    processes = {(name.rstrip('012'), threads, pid) for name, *_, threads, pid in noted}
    assert sorted(row[:2] for row in processes) == [('a', '1'), ('b', '1'), ('timed', 'all')]
