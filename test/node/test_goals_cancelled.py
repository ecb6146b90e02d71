"""Goals of the real node, with the real model, that are cancelled at random moments.

`make bench-goals` does this with 200 goals and tight deadlines.
"""

import random
import time
from pathlib import Path

from action_msgs.msg import GoalStatus

import timebill_ros.msg as msg
from support.asker import node_and_asker
from support.goal_client import Goal, GoalClient

GOALS = 24
CANCELED, ABORTED = GoalStatus.STATUS_CANCELED, GoalStatus.STATUS_ABORTED


def status_of(goal: Goal) -> int:
    """Return the status that goes with a goal's result."""
    if goal.result.answered:
        return int(GoalStatus.STATUS_SUCCEEDED)
    is_cancelled = goal.result.miss.reason == msg.DeadlineMiss.CANCELLED
    return int(CANCELED if is_cancelled else ABORTED)


def test_each_has_one_result_and_the_worker_stays(tmp_path: Path) -> None:
    chance = random.Random(20261127)
    with node_and_asker(tmp_path / 'log', max_queue_length=GOALS) as (node, asker):
        client = GoalClient(asker)
        asker.wait_until_serving()
        worker = node.wait_for_worker()
        goals: list[Goal] = []
        for number in range(GOALS):
            prompt = 'word ' * chance.choice((1, 1500)) + 'Tell a long story.'
            goals.append(client.accepted(asker.query(prompt, id=str(number), max_new_tokens=400)))
            time.sleep(chance.uniform(0.0, 0.3))
            for goal in [goal for goal in goals if chance.random() < 0.3]:
                client.cancel(goal)  # some of them twice, and some that have ended
        for goal in goals:
            client.cancel(goal)
        client.wait_for(goals)
        asker.wait_for([goal.query.id for goal in goals])
        for goal in goals:
            assert len(goal.results) == 1
            assert goal.status == status_of(goal)
            reply = goal.result.response if goal.result.answered else goal.result.miss
            assert reply == asker.reply_to(goal.query.id)
        assert sum(goal.status == CANCELED for goal in goals) >= GOALS // 2
        assert client.ask(asker.query(id='afterwards')).result.answered
        assert node.wait_for_worker().pid == worker.pid
        assert 'Traceback' not in node.log.read_text()
