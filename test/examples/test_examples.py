"""The examples, as processes, against a stand-in for the node; and what they decide."""

import os
import re
import subprocess
import sys

import pytest

import timebill_ros.msg as msg
from support.fake_timebill_node import FakeTimebillNode
from support.ros_domain import next_domain
from timebill_ros.client import Reply
from timebill_ros.examples.behavior_tree import SAFE_ACTION, decide


@pytest.mark.parametrize(
    ('text', 'action'),
    [
        ('Turn.', 'TURN'),
        ('You should go on', 'GO'),
        ('Sing', SAFE_ACTION),
        ('', SAFE_ACTION),
        ('go or turn', SAFE_ACTION),
    ],
)
def test_only_an_answer_that_names_one_action_is_taken(text: str, action: str) -> None:
    assert decide(Reply(msg.Response(text=text)))[0] == action


def test_a_miss_is_the_safe_action_and_says_why() -> None:
    miss = msg.DeadlineMiss(reason=msg.DeadlineMiss.KILLED, detail='the time ran out')
    action, because = decide(Reply(miss))
    assert action == SAFE_ACTION
    assert because == 'KILLED: the time ran out'


def answer_what_is_not_urgent(server: FakeTimebillNode, query: msg.Query) -> None:
    if query.time_budget.sec > 0:
        server.publish(msg.Response, query, text='Turn.', deadline_met=True)
    else:
        server.publish(msg.DeadlineMiss, query, reason=msg.DeadlineMiss.INFEASIBLE)


@pytest.mark.parametrize(
    ('example', 'rounds', 'patterns'),
    [
        ('behavior_tree', 3, ['a closed door, 8.00 s away: TURN', 'fallen, 0.04 s away: WAIT']),
        # On a slow machine, the first budget of 1.5 s may end before the nodes are connected.
        ('two_planners', 1, ['reflex_asker: [1-4] of 4 in time', 'mission_asker: 1 of 1 in time']),
    ],
)
def test_an_example_ends_by_itself_and_tells_what_it_did(
    example: str, rounds: int, patterns: list[str]
) -> None:
    domain = next_domain()
    server = FakeTimebillNode(domain, answer_what_is_not_urgent)
    ended = subprocess.run(
        [sys.executable, '-m', f'timebill_ros.examples.{example}', '--rounds', str(rounds)],
        env={**os.environ, 'ROS_DOMAIN_ID': str(domain)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=True,
    )
    server.close()
    for pattern in patterns:
        assert re.search(pattern, ended.stdout), ended.stdout
    assert {query.asker for query in server.queries} <= {'/robot', 'reflex', 'mission'}
