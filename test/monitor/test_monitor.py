"""The monitor as a process, over DDS, against a stand-in for the node."""

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from diagnostic_msgs.msg import DiagnosticArray

import timebill_ros.msg as msg
from support.fake_timebill_node import FakeTimebillNode
from support.ros_domain import next_domain
from support.told_statuses import told

COMMAND = [sys.executable, '-m', 'timebill_ros.monitor']


def once(domain: int, *arguments: str) -> 'subprocess.CompletedProcess[str]':
    return subprocess.run(
        [*COMMAND, '--once', *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, 'ROS_DOMAIN_ID': str(domain), 'COLUMNS': '80'},
    )


@contextlib.contextmanager
def speaking_node(domain: int) -> Iterator[None]:
    """Have a node say on and on how it is, and reply to a query that nobody asked."""
    node = FakeTimebillNode(domain, lambda node, query: None)
    publisher = node.node.create_publisher(DiagnosticArray, '/diagnostics', 10)
    stop = threading.Event()

    def speak() -> None:
        query = msg.Query(asker='planner', id='7')
        while not stop.wait(0.2):
            publisher.publish(told())
            node.publish(msg.DeadlineMiss, query, reason=msg.DeadlineMiss.SKIPPED)

    speaking = threading.Thread(target=speak)
    speaking.start()
    try:
        yield
    finally:
        stop.set()
        speaking.join()
        node.close()


def test_once_says_that_no_node_is_there_and_fails() -> None:
    domain = next_domain()
    ended = once(domain)
    assert ended.returncode == 1
    said = ' '.join(ended.stdout.split())
    assert f'No node /timebill is there (ROS_DOMAIN_ID {domain}).' in said
    assert 'Traceback' not in ended.stderr


def test_once_prints_one_table_of_a_node_and_ends() -> None:
    domain = next_domain()
    with speaking_node(domain):
        ended = once(domain)
        of_another = once(domain, '--node', 'robot1/timebill')
    assert ended.returncode == 0
    assert 'KILLED 7, OVERLOADED 5' in ended.stdout
    assert 'No node' not in ended.stdout
    assert of_another.returncode == 1
    assert 'No node /robot1/timebill is there' in ' '.join(of_another.stdout.split())


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_the_live_monitor_shows_replies_and_ends_cleanly_on_a_signal(number: int) -> None:
    domain = next_domain()
    ours, theirs = pty.openpty()
    with speaking_node(domain):
        process = subprocess.Popen(
            COMMAND,
            stdout=theirs,
            stderr=subprocess.PIPE,
            env={
                **os.environ,
                'ROS_DOMAIN_ID': str(domain),
                'COLUMNS': '80',
                'LINES': '30',
                'TERM': 'xterm',
            },
        )
        os.close(theirs)
        shown = read_until(ours, 'SKIPPED')
        process.send_signal(number)
        shown += read_until(ours, '\x1b[?1049l')
        _, errors = process.communicate(timeout=30)
    os.close(ours)
    assert 'planner 7' in shown
    assert '\x1b[?1049l' in shown, 'the terminal is left as it was'
    assert process.returncode == 0
    assert errors.decode() == ''


def read_until(terminal: int, text: str) -> str:
    """Return what is written to a terminal, until a text has come or a minute has passed."""
    read, end_s = b'', time.monotonic() + 60.0
    while text.encode() not in read and time.monotonic() < end_s:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                read += os.read(terminal, 65536)
            except OSError:  # the other side has closed it
                break
    return read.decode(errors='replace')


def test_a_name_that_is_none_is_refused_by_a_sentence() -> None:
    ended = once(next_domain(), '--node', 'no name')
    assert ended.returncode == 2
    assert "--node must be a full name like /timebill, got 'no name'" in ended.stderr
