"""Arms in turns: one that dies is left out, and named."""

import sys

import pytest

from benchmark.engine.arm_process import ArmError, ArmProcess
from benchmark.engine.stage import ArmStart, Stage, random_ids

# Fakes: `dies_at` is the length of the prompt that ends the arm.
FAKE = """
import json, sys
dies_at = int(sys.argv[1])
print(json.dumps({'weight_bytes': 1}), flush=True)
for line in sys.stdin:
    task = json.loads(line)
    if len(task['ids']) == dies_at:
        sys.exit('the kernel is wrong')
    if 'tokens' not in task:
        print(json.dumps({'log_likelihood': -1.0, 'top': task['ids']}), flush=True)
        continue
    tokens = [len(task['ids'])] * task['tokens']
    known_s = [1.0 + index for index in range(task['tokens'])]
    print(json.dumps({'tokens': tokens, 'known_s': known_s, 'rss_mb': 1.0}), flush=True)
"""


def start(name: str, *dies_at: int) -> ArmStart:
    return ArmStart(name, [[sys.executable, '-c', FAKE, str(length)] for length in dies_at])


def test_the_first_round_does_not_count_and_arms_that_die_are_named():
    with Stage([start('good', -1), start('dies', 6)]) as stage:
        runs = stage.measure([5, 6], 3, 3)
        answers = stage.answers([[1, 2]], 4)
        read = stage.read([[7, 8]])
        stage.need('good')
        with pytest.raises(ValueError, match='dies fails: it ended with status 1'):
            stage.need('dies')
    assert {key: len(found) for key, found in runs.items()} == {('good', 5): 2, ('good', 6): 2}
    assert answers == {'good': [[2, 2, 2, 2]]}
    assert read == {'good': [{'log_likelihood': -1.0, 'top': [7, 8]}]}
    assert [arm.name for arm in stage.arms] == ['good']
    assert stage.missing == {'dies': 'it ended with status 1: the kernel is wrong'}


def test_another_command_is_tried_where_the_first_one_dies():
    probed = 40
    with Stage(
        [start('good', probed, -1), start('bad', probed), ArmStart('no', [], missing='x')]
    ) as stage:
        assert [arm.name for arm in stage.arms] == ['good']
        assert set(stage.missing) == {'bad', 'no'} and stage.missing['no'] == 'x'


def test_an_arm_without_its_package_says_so():
    script = """print('{"missing": "no module"}')"""
    with pytest.raises(ArmError, match='no module'):
        ArmProcess('x', [sys.executable, '-c', script])


def test_prompts_of_other_lengths_do_not_begin_alike():
    assert random_ids(8, 'seed 1') != random_ids(9, 'seed 2')[:8]
    assert random_ids(8, 'seed 1') == random_ids(8, 'seed 1')
