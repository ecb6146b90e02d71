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
from timebill_ros.examples import tree
from timebill_ros.examples.leaves import ACTIONS, SAFE_ACTION, Detour, Step, decide


@pytest.mark.parametrize(
    ('probabilities', 'choice', 'action'),
    [((0.1, 0.8, 0.1), 1, 'TURN'), ((0.45, 0.3, 0.25), 0, 'GO'), ((0.3, 0.35, 0.35), 1, 'WAIT')],
)
def test_only_a_choice_that_is_sure_is_taken(
    probabilities: tuple[float, ...], choice: int, action: str
) -> None:
    response = msg.Response(
        text=ACTIONS[choice], choice=choice, choice_probabilities=list(probabilities)
    )
    assert decide(Reply(response))[0] == action


def test_a_miss_is_the_safe_action_and_says_why() -> None:
    miss = msg.DeadlineMiss(reason=msg.DeadlineMiss.KILLED, detail='the time ran out')
    action, because = decide(Reply(miss))
    assert action == SAFE_ACTION
    assert because == 'KILLED: the time ran out'


def test_a_detour_is_told_step_by_step() -> None:
    assert str(Detour([Step('LEFT', 1.0), Step('FORWARD', 2.5)])) == 'LEFT 1 m, FORWARD 2.5 m'


class FakeLeaf:
    """Succeeds at its second tick."""

    def __init__(self, name: str, ticked: list[str]) -> None:
        self._name, self._ticked = name, ticked

    def tick(self) -> tree.Status:
        self._ticked.append(self._name)
        is_first = self._ticked.count(self._name) == 1
        return tree.Status.RUNNING if is_first else tree.Status.SUCCESS


@pytest.mark.parametrize('is_installed', [True, False])
def test_leaves_are_ticked_in_order_with_and_without_py_trees(
    monkeypatch: pytest.MonkeyPatch, is_installed: bool
) -> None:
    if is_installed:
        pytest.importorskip('py_trees')
    else:
        monkeypatch.setattr(tree, 'py_trees', None)
    ticked: list[str] = []
    tick = tree.sequence('both', [FakeLeaf('first', ticked), FakeLeaf('second', ticked)])
    statuses = [tick() for _ in range(3)]
    assert statuses == [tree.Status.RUNNING, tree.Status.RUNNING, tree.Status.SUCCESS]
    assert ticked == ['first', 'first', 'second', 'second']


def answer_what_is_not_urgent(server: FakeTimebillNode, query: msg.Query) -> None:
    if query.time_budget.sec == 0:
        server.publish(msg.DeadlineMiss, query, reason=msg.DeadlineMiss.INFEASIBLE)
    elif query.constraint_kind == msg.Query.CHOICES:
        choice = list(query.choices).index('TURN')
        sure = [1.0 if index == choice else 0.0 for index in range(len(query.choices))]
        server.publish(
            msg.Response,
            query,
            text='TURN',
            choice=choice,
            choice_probabilities=sure,
            deadline_met=True,
        )
    elif query.constraint_kind == msg.Query.JSON_SCHEMA:
        plan = '{"steps": [{"move": "LEFT", "metres": 1.5}]}'
        server.publish(msg.Response, query, text=plan, deadline_met=True)
    else:
        server.publish(msg.Response, query, text='Stop.', deadline_met=True)


def run_example(name: str, rounds: int, before: str = 'pass') -> tuple[str, list[msg.Query]]:
    """Run an example to its end; return what it printed, and what it asked.

    Arguments:
        before: what its interpreter does first.
    """
    domain = next_domain()
    server = FakeTimebillNode(domain, answer_what_is_not_urgent)
    start = (
        f'import runpy, sys; {before}; sys.argv[1:] = ["--rounds", "{rounds}"]; '
        f'runpy.run_module("timebill_ros.examples.{name}", run_name="__main__")'
    )
    ended = subprocess.run(
        [sys.executable, '-c', start],
        env={**os.environ, 'ROS_DOMAIN_ID': str(domain)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=True,
    )
    server.close()
    return ended.stdout, server.queries


@pytest.mark.parametrize(
    ('example', 'rounds', 'patterns'),
    [
        (
            'behavior_tree',
            3,
            [
                r'a closed door, 8.00 s away: TURN \(100% sure, .*; LEFT 1.5 m\)',
                'fallen, 0.04 s away: WAIT',
            ],
        ),
        # On a slow machine, the first budget of 1.5 s may end before the nodes are connected.
        ('two_planners', 1, ['reflex_asker: [1-4] of 4 in time', 'mission_asker: 1 of 1 in time']),
    ],
)
def test_an_example_ends_by_itself_and_tells_what_it_did(
    example: str, rounds: int, patterns: list[str]
) -> None:
    printed, queries = run_example(example, rounds)
    for pattern in patterns:
        assert re.search(pattern, printed), printed
    assert {query.asker for query in queries} <= {'/robot', 'reflex', 'mission'}


def test_without_py_trees_the_behaviour_tree_says_so_and_runs() -> None:
    printed, _ = run_example('behavior_tree', 1, 'sys.modules["py_trees"] = None')
    assert tree.NOT_INSTALLED in printed
    assert 'TURN (100% sure' in printed
