import random
from collections import Counter

import pytest

from benchmark.deadlines.load.arrivals import PATTERNS
from benchmark.deadlines.load.plan import ARMS, LOADS, STRATEGIES, arms_of, plan_load
from benchmark.deadlines.load.questions import load_questions

SERVICE_S = [0.1, 0.2, 0.6]


@pytest.mark.parametrize('pattern', PATTERNS)
def test_arrivals_come_at_the_rate_that_is_asked_for(pattern):
    times = PATTERNS[pattern](4000, 5.0, random.Random(1))
    assert times[0] == 0.0
    assert times == sorted(times)
    assert len(times) / times[-1] == pytest.approx(5.0, rel=0.1)


def test_only_bursts_bring_several_at_once():
    at_once = {
        pattern: max(Counter(draw(200, 5.0, random.Random(1))).values())
        for pattern, draw in PATTERNS.items()
    }
    assert at_once['poisson'] == 1
    assert at_once['bursts'] > 2


def test_each_load_pattern_and_strategy_has_one_block():
    blocks = plan_load(1, SERVICE_S, 10)
    kinds = {(block.load, block.pattern, block.strategy) for block in blocks}
    assert len(blocks) == len(kinds) == len(LOADS) * len(PATTERNS) * len(STRATEGIES)
    assert {len(block.arrivals) for block in blocks} == {10}


def test_a_load_of_one_offers_as_much_as_can_be_answered():
    for block in plan_load(1, SERVICE_S, 30):
        assert 30 * 0.3 / block.duration_s == pytest.approx(block.load)


def test_the_same_seed_plans_the_same():
    assert plan_load(1, SERVICE_S, 5) == plan_load(1, SERVICE_S, 5) != plan_load(2, SERVICE_S, 5)


def test_every_budget_is_longer_than_the_query_takes_by_itself():
    for block in plan_load(3, SERVICE_S, 50):
        for arrival in block.arrivals:
            assert arrival.budget_s > arrival.service_s == SERVICE_S[arrival.question]


def test_each_arm_has_each_turn_equally_often():
    blocks = plan_load(1, SERVICE_S, 5)
    firsts = Counter(arms_of(block)[0].name for block in blocks)
    assert set(firsts.values()) == {len(blocks) // len(ARMS)}
    assert all(set(arms_of(block)) == set(ARMS) for block in blocks)


def test_questions_are_short_different_and_the_same_for_a_seed():
    questions = load_questions(1)
    assert questions == load_questions(1)
    assert len({question.prompt for question in questions}) == len(questions)
    assert all(8 <= question.max_new_tokens <= 48 for question in questions)
    assert all(len(question.prompt.split()) < 150 for question in questions)
