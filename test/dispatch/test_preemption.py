"""An urgent query runs before a patient one, which goes on afterwards."""

import random
from typing import Any

import pytest

from support.fake_backend import Drop, Finished, Planned, Run, Text
from support.fake_desk import Desk
from support.simulated_backend import Ask, Simulation, slowness
from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.outcome import Answer, FinishReason, Miss, MissReason, OverrunPolicy
from timebill_ros.core.time_model import TimeModel
from timebill_ros.dispatch.completion import Completion, Job
from timebill_ros.dispatch.preemption import MOST_PREEMPTIONS, Preemption, may_preempt

MODEL = TimeModel(a=0.0, b=0.01, c=0.0, p=0.0, q=0.1, delta=0.0)
"""A token of a prompt takes 0.01 s, one of an answer 0.1 s."""


@pytest.fixture
def desk() -> Any:
    desk = Desk(queue_order='edf')
    desk.dispatcher.open(desk.backend, 100, BudgetPlanner(time_model=MODEL))
    yield desk
    desk.dispatcher.shut_down()


def patient_runs(desk: Desk, budget_s: float = 20.0, **fields: Any) -> int:
    """Ask what takes up to 5 s; return its number. It has written 3 tokens in 0.5 s."""
    number = desk.ask('patient', budget_s, tokens=20, max_new_tokens=50, **fields)
    desk.pass_time(0.2)
    desk.say(Planned(number, Bill(prompt_tokens=20, kept_tokens=20)))
    desk.pass_time(0.3)
    desk.say(Text(number, 'one two three ', 3))
    return number


def ask_urgent(desk: Desk, budget_s: float = 1.0, query_id: str = 'urgent') -> int:
    """Ask what takes up to 0.5 s."""
    return desk.ask(query_id, budget_s, tokens=10, max_new_tokens=5, asker='b')


def done(desk: Desk, number: int) -> None:
    desk.say(Finished(number, FinishReason.EOS, Bill(total_time=0.4)))


def test_the_urgent_query_runs_at_once_and_both_are_answered(desk: Desk) -> None:
    patient = patient_runs(desk)
    urgent = ask_urgent(desk)
    assert desk.backend.runs() == [patient, urgent]
    desk.pass_time(0.4)
    done(desk, urgent)
    done(desk, patient)
    assert desk.replies.ended() == {'urgent': FinishReason.EOS, 'patient': FinishReason.EOS}
    assert not desk.dispatcher.is_serving


@pytest.mark.parametrize(
    ('settings', 'budget_s'),
    [({'preemption': False}, 1.0), ({'queue_order': 'fifo'}, 1.0), ({}, 6.0), ({}, 25.0)],
    ids=['off', 'in order of arrival', 'it can wait', 'it is not urgent'],
)
def test_otherwise_nothing_is_preempted(
    desk: Desk, settings: dict[str, Any], budget_s: float
) -> None:
    desk.change(**settings)
    patient = patient_runs(desk)
    ask_urgent(desk, budget_s)
    assert desk.backend.runs() == [patient]
    ended = desk.replies.ended()
    assert ended == ({'urgent': MissReason.OVERLOADED} if budget_s == 1.0 else {})


def test_what_would_be_late_itself_preempts_nothing(desk: Desk) -> None:
    patient = patient_runs(desk)
    ask_urgent(desk, budget_s=0.25)
    assert desk.backend.runs() == [patient]


def test_one_is_late_either_way_the_longer_one_is(desk: Desk) -> None:
    patient = patient_runs(desk, budget_s=5.4)  # 4.7 s to go, 4.9 s left
    urgent = ask_urgent(desk)
    assert desk.backend.runs() == [patient, urgent]
    done(desk, urgent)
    assert 'patient' not in desk.replies.ended()  # it goes on nevertheless


@pytest.mark.parametrize(('tokens', 'is_right'), [(5, True), (17, False)])
def test_of_two_that_cannot_both_be_in_time_the_shorter_one_runs(
    tokens: int, is_right: bool
) -> None:
    completion = Completion(MODEL)
    running = completion.begun(
        Job(0, 100, (101,), 1.9, started_at_s=0.0, kept_tokens=100, response_tokens=85), 0.0
    )  # 1.6 s to go, 1.9 s left
    urgent = Job(1, 10, (tokens,), 1.8)
    preemption = Preemption(completion, 0.5, 0.0)
    assert preemption.is_right(urgent, [running], [urgent]) == is_right


def test_only_one_is_preempted_at_a_time_and_each_only_a_few_times(desk: Desk) -> None:
    patient = patient_runs(desk, budget_s=60.0)
    for index in range(MOST_PREEMPTIONS + 2):
        urgent = ask_urgent(desk, 1.0, f'urgent {index}')
        ask_urgent(desk, 0.5, f'more urgent {index}')
        if index < MOST_PREEMPTIONS:
            assert desk.backend.runs()[-1] == urgent
            assert desk.outcome(f'more urgent {index}').reason is MissReason.OVERLOADED
            done(desk, urgent)
    assert desk.backend.runs().count(patient) == 1
    assert len(desk.backend.runs()) == 1 + MOST_PREEMPTIONS


def test_one_that_comes_while_another_runs_goes_before_what_that_has_preempted(desk: Desk) -> None:
    patient = patient_runs(desk, budget_s=60.0)
    first = ask_urgent(desk, 1.0, 'first')
    second = ask_urgent(desk, 1.5, 'second')  # not behind the patient one's 4.7 s
    assert desk.backend.runs() == [patient, first]
    desk.pass_time(0.6)
    done(desk, first)
    assert desk.backend.runs() == [patient, first, second]
    done(desk, second)
    done(desk, patient)
    assert set(desk.replies.ended().values()) == {FinishReason.EOS}


def test_what_was_preempted_is_not_overtaken_if_it_would_be_late(desk: Desk) -> None:
    patient_runs(desk, budget_s=3.6)  # likely 2.4 s to go, 3.1 s left
    ask_urgent(desk, 1.0, 'first')  # likely 0.3 s
    desk.ask('second', 1.5, tokens=10, max_new_tokens=10, asker='b')  # likely 0.6 s
    assert desk.outcome('second').reason is MissReason.OVERLOADED


@pytest.mark.parametrize(('room_tokens', 'is_enough'), [(90, True), (89, False)])
def test_nothing_goes_before_the_preempted_where_there_is_no_memory_for_both(
    desk: Desk, room_tokens: int, is_enough: bool
) -> None:
    desk.dispatcher.change_planner(BudgetPlanner(time_model=MODEL), room_tokens=room_tokens)
    patient_runs(desk, budget_s=60.0)  # 20 tokens, and an answer of up to 50
    ask_urgent(desk, 1.0, 'first')
    desk.ask('second', 1.5, tokens=10, max_new_tokens=10, asker='b')
    ended = desk.replies.ended()
    assert ended == ({} if is_enough else {'second': MissReason.OVERLOADED})


def test_what_was_preempted_often_is_not_overtaken(desk: Desk) -> None:
    patient_runs(desk, budget_s=60.0)
    for index in range(MOST_PREEMPTIONS):
        urgent = ask_urgent(desk, 1.0, f'urgent {index}')
        if index < MOST_PREEMPTIONS - 1:
            done(desk, urgent)
    ask_urgent(desk, 1.5, 'late')
    assert desk.outcome('late').reason is MissReason.OVERLOADED


def test_the_last_preemption_is_promised_once(desk: Desk) -> None:
    patient_runs(desk, budget_s=60.0)
    for index in range(MOST_PREEMPTIONS - 1):
        done(desk, ask_urgent(desk, 1.0, f'urgent {index}'))
    for query_id in ('first', 'second'):  # neither is tokenised yet: both wait
        desk.submit(query_id, 1.5, 'b', max_new_tokens=5, prompt='word' * 10)
    assert 'first' not in desk.replies.ended()
    assert desk.outcome('second').reason is MissReason.OVERLOADED


def test_one_that_comes_behind_another_may_be_why_that_goes_first(desk: Desk) -> None:
    patient = patient_runs(desk, budget_s=60.0)
    first = ask_urgent(desk, 3.0, 'first')  # likely in time behind the patient one, too
    assert desk.backend.runs() == [patient]
    second = desk.ask('second', 3.4, tokens=10, max_new_tokens=20, asker='b')  # not behind both
    assert desk.backend.runs() == [patient, first]
    done(desk, first)
    done(desk, second if desk.backend.runs()[-1] == second else patient)
    assert MissReason.OVERLOADED not in desk.replies.ended().values()


def test_a_preempted_query_that_is_cut_off_is_billed_without_the_wait(desk: Desk) -> None:
    patient_runs(desk, budget_s=5.4, policy=OverrunPolicy.PARTIAL)
    urgent = ask_urgent(desk)
    desk.pass_time(0.4)
    done(desk, urgent)
    desk.pass_time(10.0)
    outcome, bill = next(reply[1:3] for reply in desk.replies.outcomes if reply[0] == 'patient')
    assert isinstance(outcome, Answer)
    assert (bill.preemptions, bill.preempted_time) == (1, pytest.approx(0.4))
    assert bill.total_time == pytest.approx(5.4 - 0.02 - 0.4)
    assert bill.decode_time == pytest.approx(bill.total_time - 0.2)


def test_dropped_while_it_is_preempted_it_need_not_stop_before_it_runs(desk: Desk) -> None:
    patient = patient_runs(desk)
    urgent = ask_urgent(desk)
    desk.dispatcher.cancel('a', 'patient', 'withdrawn')
    assert desk.backend.told[-1] == Drop(patient)
    assert desk.outcome('patient').reason is MissReason.CANCELLED
    desk.pass_time(0.5)
    assert not desk.backend.killed  # abort_grace is 0.2 s
    done(desk, urgent)
    desk.pass_time(0.1)
    assert not desk.backend.killed
    desk.pass_time(0.2)
    assert desk.backend.killed == ['it did not stop within abort_grace, 0.2 s']


def test_nothing_runs_before_a_query_that_is_being_stopped(desk: Desk) -> None:
    patient = patient_runs(desk)
    desk.dispatcher.cancel('a', 'patient', 'withdrawn')
    ask_urgent(desk)
    assert desk.backend.runs() == [patient]
    desk.say(Finished(patient, None, Bill()))
    assert len(desk.backend.runs()) == 2


def test_a_preempted_query_that_is_late_yields_to_those_in_time(desk: Desk) -> None:
    patient = patient_runs(desk, budget_s=5.4, policy=OverrunPolicy.SKIP_NEXT)
    urgent = ask_urgent(desk, budget_s=1.0)
    desk.pass_time(0.6)
    ask_urgent(desk, 10.0, 'waits')
    done(desk, urgent)
    second = ask_urgent(desk, 1.0, 'second')
    desk.pass_time(0.5)
    done(desk, second)
    desk.pass_time(3.9)  # the patient one is late now, and waits for none: it runs
    assert 'patient' not in desk.replies.ended()
    done(desk, patient)
    assert desk.outcome('patient').deadline_met is False


def test_when_the_urgent_one_ends_late_queries_skip_no_one_in_time(desk: Desk) -> None:
    desk.change(publish_reserve_s=0.0)
    patient = patient_runs(desk, budget_s=5.4, policy=OverrunPolicy.SKIP_NEXT)
    urgent = ask_urgent(desk, budget_s=5.3)
    assert desk.backend.runs() == [patient]
    desk.pass_time(4.0)
    desk.say(Text(patient, 'more ', 10))
    desk.dispatcher.change_planner(BudgetPlanner(time_model=MODEL))
    third = ask_urgent(desk, 0.6, 'third')
    assert desk.backend.runs() == [patient, third]
    desk.pass_time(0.95)  # the third is late: killed; the patient one is late too
    desk.say(Finished(third, None, Bill()))
    assert desk.backend.runs()[-1] == urgent  # in time, before the one that is late
    done(desk, urgent)
    done(desk, patient)
    assert desk.replies.ended() == {
        'third': MissReason.KILLED,
        'urgent': FinishReason.EOS,
        'patient': FinishReason.EOS,
    }


def test_a_worker_that_dies_ends_both(desk: Desk) -> None:
    patient_runs(desk)
    ask_urgent(desk)
    desk.dispatcher.close(Miss(MissReason.ENGINE_FAULT, 'it died'))
    assert set(desk.replies.ended().values()) == {MissReason.ENGINE_FAULT}
    desk.dispatcher.open(desk.backend, 100, BudgetPlanner(time_model=MODEL))
    number = ask_urgent(desk, query_id='next')
    assert isinstance(desk.backend.told[-1], Run)
    assert desk.backend.runs()[-1] == number


def mixed(load: float, seed: int) -> list[Ask]:
    """Return patient and urgent queries at random times, as many of each, at a load."""
    draw, at_s, asks = random.Random(seed), 0.0, []
    urgent = Ask(0.0, 0.0, prompt_tokens=200, max_new_tokens=16, response_tokens=16, asker='u')
    patient = Ask(0.0, 0.0)
    for _ in range(round(80 * load)):
        at_s += draw.expovariate(2.0 * load / (urgent.duration_s + patient.duration_s))
        kind = urgent if draw.random() < 0.5 else patient
        times = draw.uniform(1.5, 3.0) if kind is urgent else draw.uniform(2.0, 6.0)
        budget_s = times * kind.duration_s + 0.05
        asks.append(
            Ask(
                at_s,
                budget_s,
                kind.prompt_tokens,
                kind.max_new_tokens,
                kind.response_tokens,
                slowness(draw, 0.03),
                kind.asker,
            )
        )
    return asks


def on_time(load: float, **rules: Any) -> tuple[float, float]:
    """Return the share of urgent queries, and of all, that are answered in time."""
    answered: dict[str, list[bool]] = {'u': [], 'a': []}
    for seed in range(6):
        asks, simulation = mixed(load, seed), Simulation(queue_order='edf', **rules)
        simulation.play(asks)
        assert len(simulation.outcomes) == len(asks)
        for index, outcome in simulation.outcomes.items():
            answered[asks[index].asker].append(
                isinstance(outcome, Answer) and outcome.deadline_met
            )
    both = answered['u'] + answered['a']
    return sum(answered['u']) / len(answered['u']), sum(both) / len(both)


@pytest.mark.parametrize(('load', 'gain'), [(0.5, 0.1), (1.0, 0.15), (2.0, 0.08)])
@pytest.mark.parametrize('policy', [OverrunPolicy.KILL, OverrunPolicy.SKIP_NEXT])
def test_more_urgent_queries_and_more_in_all_are_answered_in_time(
    load: float, gain: float, policy: OverrunPolicy
) -> None:
    urgent, both = on_time(load, policy=policy)
    urgent_without, both_without = on_time(load, policy=policy, preemption=False)
    assert urgent > urgent_without + gain
    assert both > both_without + gain


@pytest.mark.parametrize('seed', range(20))
def test_it_is_right_only_if_no_more_are_late(seed: int) -> None:
    draw = random.Random(seed)
    completion = Completion(MODEL)

    def job(number: int) -> Job:
        tokens = draw.randrange(1, 60)
        return Job(number, tokens, (draw.randrange(1, 60),), draw.uniform(0.1, 20.0))

    running = completion.begun(
        Job(0, 10, (50,), draw.uniform(1.0, 20.0), started_at_s=-0.5, kept_tokens=0), 0.0
    )
    waiting = sorted((job(number) for number in range(1, 6)), key=lambda job: job.last_moment_s)
    preemption = Preemption(completion, 0.5, 0.0)
    if preemption.is_right(waiting[0], [running], waiting):
        late_then = preemption.lost([running], waiting)
        late_otherwise = preemption._schedule([running]).given_up(waiting)
        assert waiting[0] not in late_then
        assert len(late_then) <= len(late_otherwise)


@pytest.mark.parametrize(
    ('policy', 'late_s', 'may'),
    [
        (OverrunPolicy.SKIP_NEXT, -1.0, False),
        (OverrunPolicy.SKIP_NEXT, 1.0, True),
        (OverrunPolicy.KILL, 1.0, False),
    ],
)
def test_a_query_that_was_preempted_often_yields_again_only_when_it_is_late(
    policy: OverrunPolicy, late_s: float, may: bool
) -> None:
    desk = Desk(queue_order='edf')
    desk.ask('patient', 5.0, policy=policy)
    (entry,) = desk.dispatcher._pending.all()
    for _ in range(MOST_PREEMPTIONS):
        entry.bill.preempted(desk.now_s)
        entry.bill.resumed(desk.now_s)
    assert may_preempt(entry, [entry], desk.settings, entry.last_moment_s + late_s) == may
    desk.dispatcher.shut_down()


@pytest.mark.parametrize(('room_tokens', 'is_enough'), [(0, True), (85, True), (84, False)])
def test_nothing_is_preempted_where_there_is_no_memory_for_both(
    desk: Desk, room_tokens: int, is_enough: bool
) -> None:
    desk.dispatcher.change_planner(BudgetPlanner(time_model=MODEL), room_tokens=room_tokens)
    patient = patient_runs(desk)  # 20 tokens, and an answer of up to 50
    urgent = ask_urgent(desk)  # 10 and 5
    assert desk.backend.runs() == ([patient, urgent] if is_enough else [patient])
    ended = desk.replies.ended()
    assert ended == ({} if is_enough else {'urgent': MissReason.OVERLOADED})
