"""The tasks of the race are graded by the number that an answer in time ends with."""

import random
import re

from benchmark.remote.asker import Asked
from benchmark.remote.race_score import Task
from timebill_ros.msg import DeadlineMiss, Response


def test_a_sum_is_not_in_the_prompt_and_a_number_to_look_up_is() -> None:
    draw = random.Random(1)
    for _ in range(20):
        task = Task.sum(draw)
        assert sum(map(int, re.findall(r'\d+', task.prompt))) == task.answer
        task = Task.look_up(draw)
        assert re.findall(r'\d+', task.prompt).count(str(task.answer)) == 1


def test_an_answer_counts_if_its_last_number_is_right_and_it_is_in_time() -> None:
    task = Task('sum', '2 and 3?', 5)

    def score(reply: Response | DeadlineMiss, at_s: float) -> int:
        return task.score(Asked(deadline_s=10.0, replies=[(reply, at_s)]))

    assert score(Response(text='2 + 3 = 5.'), 9.9) == 1
    assert score(Response(text='5, or 6'), 9.9) == 0
    assert score(Response(text='five'), 9.9) == 0
    assert score(Response(text='5'), 10.1) == 0
    assert score(DeadlineMiss(reason=DeadlineMiss.KILLED), 9.9) == 0
