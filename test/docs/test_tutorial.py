"""The programs of docs/tutorial.md run as printed, against a stand-in for the node."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import timebill_ros.msg as msg
from support.fake_timebill_node import FakeTimebillNode
from support.ros_domain import next_domain

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / 'docs' / 'tutorial.md').read_text()
README = (ROOT / 'README.md').read_text()
PROGRAMS = {
    **{name: text for text, name in re.findall(r'```python\n(# (\w+\.py)\n.*?)```', PAGE, re.S)},
    'README': ''.join(re.findall(r'```python\n(import rclpy.*?)```', README, re.S)),
}
PRINTED = {
    'planner.py': [
        'a closed door: GO (1.50 s left)',
        'an empty corridor: GO (1.50 s left)',
        'a person who waves: GO (1.50 s left)',
    ],
    'plan.py': ['LEFT 2', 'FORWARD 3'],
    'patrol.py': [
        'A person waves at a robot. Should the robot greet the person? YES',
        '-> greet',
    ],
    'README': ['GO'],
}
PLAN = '{"steps": [{"move": "LEFT", "metres": 2}, {"move": "FORWARD", "metres": 3}]}'


def answer(node: FakeTimebillNode, query: msg.Query) -> None:
    """Answer with the first choice, or with a plan."""
    text = query.choices[0] if query.choices else PLAN
    choice, probabilities = (0, [1.0]) if query.choices else (-1, [])
    node.publish(
        msg.Response,
        query,
        text=text,
        choice=choice,
        choice_probabilities=probabilities,
        deadline_met=True,
        bill=msg.Bill(slack=1.5),
    )


def refuse(node: FakeTimebillNode, query: msg.Query) -> None:
    """Answer nothing, in a sentence."""
    reason = msg.DeadlineMiss.INFEASIBLE
    node.publish(msg.DeadlineMiss, query, reason=reason, detail='too little time')


def printed(program: str, folder: Path, domain: int) -> list[str]:
    """Return the lines that a program prints."""
    path = folder / 'program.py'
    # A busy machine may need longer than these seconds until both are connected.
    path.write_text(PROGRAMS[program].replace('2.0', '60.0').replace('3.0', '60.0'))
    ended = subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, 'ROS_DOMAIN_ID': str(domain)},
    )
    return ended.stdout.splitlines()


def test_every_program_is_tried() -> None:
    assert set(PROGRAMS) == set(PRINTED)


@pytest.mark.parametrize('program', PRINTED)
def test_a_program_acts_on_an_answer(program: str, tmp_path: Path) -> None:
    domain = next_domain()
    node = FakeTimebillNode(domain, answer)
    try:
        assert printed(program, tmp_path, domain) == PRINTED[program]
    finally:
        node.close()


@pytest.mark.parametrize(
    ('program', 'last'),
    [
        ('planner.py', 'a person who waves: STOP (too little time)'),
        ('plan.py', 'INFEASIBLE too little time'),
        ('patrol.py', '-> drive on'),
        ('README', 'INFEASIBLE: too little time'),
    ],
)
def test_a_program_acts_safely_without_an_answer(program: str, last: str, tmp_path: Path) -> None:
    domain = next_domain()
    node = FakeTimebillNode(domain, refuse)
    try:
        assert printed(program, tmp_path, domain)[-1] == last
    finally:
        node.close()
