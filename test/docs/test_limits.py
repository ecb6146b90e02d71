"""docs/limits.md has the bounds of the code."""

import re
from pathlib import Path

import pytest

from timebill_ros.dispatch import learned_lengths, preemption
from timebill_ros.inference.constraint import choices, compiler, vocabulary
from timebill_ros.node import (
    constraint_check,
    generate_action,
    messages,
    query_intake,
    reply_publisher,
)
from timebill_ros.node.settings import NodeSettings
from timebill_ros.remote import event_stream, server

PAGE = (Path(__file__).parents[2] / 'docs' / 'limits.md').read_text()
ROWS = {
    cells[0]: cells[1:]
    for cells in re.findall(r'^\| (.*?) \| (.*?) \| (.*?) \|$', PAGE, re.M)
    if cells[2] != '---'
}
SPECS = NodeSettings().specs
FIXED = {
    '`asker`, `id`': [messages.MAX_NAME_BYTES],
    '`constraint`': [constraint_check.MAX_BYTES],
    '`choices`': [1, constraint_check.MAX_CHOICES, constraint_check.MAX_BYTES],
    'one choice': [1, choices.LONGEST_CHOICE],
    'work to compile and to obey a constraint': [
        vocabulary._FUEL,
        vocabulary._STEP_FUEL,
        vocabulary._STATES,
    ],
    'queries that have begun': [preemption.MOST_BEGUN],
    'preemptions of one query': [preemption.MOST_PREEMPTIONS],
    'queries in the DDS queue': [query_intake.QUERY_QOS.depth],
    'replies in the DDS queue': [reply_publisher.REPLY_QOS.depth],
    'a remote answer': [server._BYTES, server._BYTES_A_TOKEN],
    'a line of a remote answer': [event_stream._LONGEST_LINE],
    'results of goals': [generate_action._RESULT_KEPT_S],
    'learned distributions of lengths': [learned_lengths.HABITS],
}


@pytest.mark.parametrize('row', FIXED)
def test_a_fixed_bound_is_that_of_the_code(row: str) -> None:
    bound, set_by = ROWS[row]
    assert [int(number) for number in re.findall(r'\d+', bound)][: len(FIXED[row])] == FIXED[row]
    assert set_by == 'fixed'


def test_a_bound_that_a_parameter_sets_is_its_default() -> None:
    checked = 0
    for row, (bound, set_by) in ROWS.items():
        named = re.fullmatch(r'`(\w+)`', set_by)
        if not named:
            continue
        assert named[1] in SPECS, row
        default = SPECS[named[1]].default
        numbers = [float(number) for number in re.findall(r'\d+(?:\.\d+)?', bound)]
        if numbers:
            assert float(default) in numbers, row
            checked += 1
    assert checked >= 8


def test_the_node_and_the_worker_process_have_the_same_bounds_of_a_constraint() -> None:
    assert constraint_check.MAX_BYTES == compiler.MOST_BYTES
    assert constraint_check.MAX_CHOICES == choices.MOST_CHOICES
