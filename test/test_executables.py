"""What a stranger tries first of every executable: --help, a stray argument, Ctrl-C at once."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.ros_domain import next_domain

ROOT = Path(__file__).parents[1]
EXECUTABLES = dict(
    re.findall(r'^    ([a-z_]+) = ([a-z_.]+):main$', (ROOT / 'setup.cfg').read_text(), re.M)
)


def start(name: str, *arguments: str, **variables: str) -> 'subprocess.Popen[str]':
    return subprocess.Popen(
        [
            sys.executable,
            '-c',
            f'import sys; from {EXECUTABLES[name]} import main; '
            f'sys.argv[0] = {name!r}; sys.exit(main())',
            *arguments,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            'ROS_DOMAIN_ID': str(next_domain()),
            'MPLBACKEND': 'Agg',
            **variables,
        },
    )


def test_executables_are_found() -> None:
    assert {'timebill_node', 'timebill_demo', 'profile'} <= set(EXECUTABLES)


@pytest.mark.parametrize('name', EXECUTABLES)
def test_help_is_printed_and_nothing_starts(name: str) -> None:
    process = start(name, '--help')
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.startswith('usage: ')
    assert 'Traceback' not in err and '[INFO]' not in err


@pytest.mark.parametrize('name', EXECUTABLES)
def test_a_stray_argument_is_named_and_nothing_starts(name: str) -> None:
    process = start(name, 'stray')
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert 'unrecognized arguments: stray' in err
    assert 'Traceback' not in err and '[INFO]' not in err


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGHUP])
def test_the_node_takes_a_signal_before_anything_else_is_loaded(number: int) -> None:
    process = start('timebill_node')
    while not catches(process.pid, signal.SIGTERM):
        assert process.poll() is None
        time.sleep(0.001)
    loaded = Path(f'/proc/{process.pid}/maps').read_text()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert 'librcl.so' not in loaded
    assert (process.returncode, 'Traceback' in err) == (0, False)


def catches(pid: int, number: int) -> bool:
    """Return whether a process has a handler of its own for a signal."""
    status = Path(f'/proc/{pid}/status').read_text()
    found = re.search(r'^SigCgt:\s*([0-9a-f]+)$', status, re.M)
    return found is not None and bool(int(found[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize('value', ['{"a": false}', '[1, x'])
def test_a_parameter_that_is_not_yaml_is_named_and_nothing_starts(value: str) -> None:
    rule = f'chat_template_arguments:={value}'
    process = start('timebill_node', '--ros-args', '-p', rule)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    (line,) = err.splitlines()
    assert line.startswith('timebill: ') and f"'-p {rule}'" in line
    assert line.endswith('quote a text twice, -p "NAME:=\'TEXT\'"')
    assert '/' not in line and line.count('The value must be YAML') == 1


@pytest.mark.parametrize('arguments', [(), ('--ros-args', '-r', '__ns:=/robot')])
def test_the_node_starts_where_no_log_file_can_be_written(arguments: tuple[str, ...]) -> None:
    process = start('timebill_node', *arguments, HOME='', ROS_HOME='', ROS_LOG_DIR='')
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if 'set ROS_LOG_DIR' in line:
            break
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    log = ''.join(lines) + rest
    assert 'the log folder ~/.ros/log cannot be written (there is no HOME)' in log
    assert (process.returncode, 'Traceback' in log) == (0, False), log


@pytest.mark.parametrize(
    ('name', 'arguments', 'status'),
    [('monitor', ('--once',), 1), ('two_planners', ('--rounds', '1'), 0)],
)
def test_an_asker_runs_where_no_log_file_can_be_written(
    name: str, arguments: tuple[str, ...], status: int
) -> None:
    process = start(name, *arguments, HOME='', ROS_HOME='', ROS_LOG_DIR='')
    out, err = process.communicate(timeout=120)
    assert (process.returncode, 'Traceback' in err) == (status, False), err
    assert out
