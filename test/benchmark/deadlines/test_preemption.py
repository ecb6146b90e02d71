"""What is asked of an urgent and a patient asker, and what is counted of it."""

import random

import pytest

from benchmark.deadlines.asker import Record, Reply
from benchmark.deadlines.preemption import ARMS, PREPARED, by_arm
from benchmark.deadlines.urgent_mix import CONTEXTS, KINDS, OVERHEAD_S, block

S = 10**9
OWN_S = {'urgent': 0.1, 'patient': 0.5}


def record(arm: str, query: int, is_on_time: bool) -> Record:
    group = 'urgent' if query < 2 else 'patient'
    received = S // 2 if is_on_time else 2 * S
    reply = Reply('ANSWERED', received, 0, 0, received, deadline_met=is_on_time)
    return Record(f'1/{arm}/0/{query}', group, 1, 0, S, [reply])


def test_shares_count_each_group_and_differences_are_of_the_same_queries() -> None:
    on_time = {
        'edf_preemptive': [True, True, True, False],
        'edf_preemptive_preparing': [True, False, True, False],
        'edf': [False, True, False, False],
        'fifo': [False, False, False, False],
    }
    records = [
        record(arm, query, is_on_time)
        for arm in ARMS
        for query, is_on_time in reversed(list(enumerate(on_time[arm])))
    ]
    other_load = Record('2/fifo/0/0', 'urgent', 1, 0, S)
    found = by_arm([*records, other_load], '1')
    assert found['edf_preemptive']['urgent_on_time'] == 1.0
    assert found['edf_preemptive']['urgent_interval'] == [1.0, 1.0]
    assert found['edf']['all_on_time'] == 0.25
    low, high = found['edf']['all_interval']
    assert low < 0.25 < high
    assert (found['fifo']['n'], found['fifo']['urgent']) == (4, 2)
    assert found['preemption_gains']['all']['mean'] == pytest.approx(0.5)
    assert found['preemption_gains']['urgent']['mean'] == pytest.approx(0.5)
    assert found['preparing_gains']['urgent']['mean'] == pytest.approx(-0.5)


def test_a_query_without_a_reply_or_with_a_late_one_is_not_on_time() -> None:
    records = [record(arm, query, True) for arm in ARMS for query in (1, 2)]
    lost = [Record(f'1/{arm}/0/0', 'urgent', 1, 0, S) for arm in ARMS]
    late = [record(arm, 3, False) for arm in ARMS]
    shares = by_arm([*records, *lost, *late], '1')['edf']
    assert (shares['urgent_on_time'], shares['all_on_time']) == (0.5, 0.5)


@pytest.mark.parametrize('load', [0.5, 2.0])
def test_a_block_has_the_shares_and_the_load_that_it_says(load: float) -> None:
    asks = block(3000, load, OWN_S, random.Random(1))
    urgent = [ask for ask in asks if ask.group == 'urgent']
    assert (len(urgent), len(asks)) == (2000, 3000)
    assert [ask.at_s for ask in asks] == sorted(ask.at_s for ask in asks)
    work_s = sum(OWN_S[ask.group] for ask in asks)
    assert work_s / asks[-1].at_s == pytest.approx(load, rel=0.1)
    for kind in KINDS:
        low, high = (times * OWN_S[kind.name] + OVERHEAD_S for times in kind.budgets)
        of_kind = [ask.time_budget_s for ask in asks if ask.group == kind.name]
        assert low <= min(of_kind) < max(of_kind) <= high
    assert {ask.context for ask in asks} == set(CONTEXTS)


def test_what_is_prepared_shares_no_beginning_with_what_is_asked_about() -> None:
    firsts = {text.split('\n')[0] for text in (*CONTEXTS, *PREPARED)}
    assert len(firsts) == len(CONTEXTS) + len(PREPARED)
