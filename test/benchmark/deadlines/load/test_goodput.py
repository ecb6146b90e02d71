import pytest

from benchmark.deadlines.load.admission_errors import admission_errors
from benchmark.deadlines.load.goodput import differences, goodput, interval_of_mean
from benchmark.deadlines.load.plan import ARMS, LOADS, Arrival, Block
from benchmark.deadlines.load.result import LoadResult
from support.benchmark_records import record, reply
from timebill_ros.core.outcome import FinishReason

EDF, FIFO, KEEP_LATEST, NO_ADMISSION = ARMS
ANSWERED = reply('ANSWERED', 300, total_s=0.3)
LATE = reply('ANSWERED', 1300, deadline_met=False)
PARTIAL = reply('ANSWERED', 980, finish_reason=FinishReason.DEADLINE)


def block(load=1.0, strategy='KILL', size=2, service_s=0.3):
    arrivals = tuple(Arrival(0.0, 0, service_s, 1.0) for _ in range(size))
    return Block(int(10 * load), load, 'poisson', strategy, arrivals, duration_s=2.0)


def results(arm, *replies, of=None):
    of = of or block(size=len(replies))
    return [
        LoadResult(arm, of, place, record(each, id=f'{arm.name}-{place}'))
        for place, each in enumerate(replies)
    ]


def all_loads(**replies):
    """The same replies to each arm's queries at every load, in the same blocks."""
    return [
        result
        for load in LOADS
        for of in [block(load, size=2)]
        for arm in ARMS
        for result in results(arm, *replies[arm.name], of=of)
    ]


def test_goodput_is_the_share_of_whole_answers_in_time():
    everything = all_loads(
        edf=[ANSWERED, ANSWERED],
        fifo=[ANSWERED, LATE],
        keep_latest=[LATE, ANSWERED],
        no_admission=[PARTIAL, LATE],
    )
    found = goodput(everything, seed=1)
    assert [found[arm.name]['1']['share'] for arm in ARMS] == [1.0, 0.5, 0.5, 0.0]
    assert found['edf']['1']['of_oracle'] == 1.0  # both fit into a second
    assert found['edf']['2']['rate_per_s'] == pytest.approx(1.0)
    assert found['no_admission']['5']['partial'] == 1
    difference = differences(everything, seed=1)
    assert difference['edf_minus_fifo']['1']['share'] == 0.5
    assert difference['edf_minus_no_admission']['1']['share'] == 1.0


def test_an_interval_holds_its_mean_and_narrows_with_more_blocks():
    def width(blocks):
        places = [(number, place) for number in range(blocks) for place in range(10)]
        values = [float(number % 2 and place % 2) for number, place in places]
        low, high = interval_of_mean(values, places, seed=1)
        assert low <= sum(values) / len(values) <= high
        return high - low

    assert width(100) < width(10)


def errors_of(*replies, service_s=0.3, strategy='KILL'):
    of = block(strategy=strategy, size=len(replies), service_s=service_s)
    return admission_errors(results(EDF, *replies, of=of))


INFEASIBLE = reply('INFEASIBLE', 1)


def test_a_refusal_is_false_if_there_was_time_for_it():
    found = errors_of(ANSWERED, INFEASIBLE)
    assert found['false_refusals'] == 1
    assert found['admission']['edf']['at_no_cost'] == 1


def test_a_refusal_is_right_if_its_turn_would_have_come_too_late():
    assert errors_of(*[ANSWERED] * 3, INFEASIBLE)['false_refusals'] == 0


def test_a_refusal_is_right_if_it_takes_too_long_by_itself():
    assert errors_of(INFEASIBLE, service_s=1.5)['false_refusals'] == 0


def test_admitted_in_vain_is_what_got_nothing():
    found = errors_of(reply('KILLED', 980), reply('SKIPPED', 500), PARTIAL, ANSWERED, INFEASIBLE)
    assert found['false_admissions'] == 2
    assert found['admission']['edf']['admitted'] == 4


def test_the_same_query_answered_without_admission_is_counted():
    of = block()
    everything = [
        *results(FIFO, INFEASIBLE, ANSWERED, of=of),
        *results(NO_ADMISSION, ANSWERED, INFEASIBLE, of=of),
    ]
    found = admission_errors(everything)
    assert found['admission']['fifo']['answered_without_admission'] == 1
    assert found['false_refusals'] == found['admission']['fifo']['would_have_been_met'] == 1
