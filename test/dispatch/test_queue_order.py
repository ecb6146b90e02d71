"""Whose turn is next, who is refused because of others, and who withdraws."""

from collections.abc import Iterator

import pytest

from support.fake_backend import Drop, Finished, Planned, Run, Text, Tokenised
from support.fake_desk import Desk
from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.constraint import Constraint, ConstraintKind
from timebill_ros.core.outcome import FinishReason, Miss, MissReason, OverrunPolicy
from timebill_ros.core.time_model import TimeModel
from timebill_ros.dispatch.answer_length import AnswerLength
from timebill_ros.dispatch.habit import Habit

# Reading a token takes 0.1 s, writing one 0.01 s.
READER = BudgetPlanner(time_model=TimeModel(a=0.0, b=0.1, c=0.0, p=0.0, q=0.01))
EOS = FinishReason.EOS


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk(preemption=False, max_queue_length=10)
    yield desk
    desk.dispatcher.shut_down()


@pytest.mark.parametrize(('order', 'expected'), [('fifo', [0, 1, 2, 3]), ('edf', [0, 3, 2, 1])])
def test_turns_come_by_arrival_or_by_deadline(desk: Desk, order: str, expected: list[int]) -> None:
    desk.change(queue_order=order)
    for number, budget_s in enumerate((50.0, 40.0, 30.0, 20.0)):
        desk.ask(str(number), budget_s)
    for number in expected:
        desk.say(Finished(number, EOS, Bill()))
    assert desk.backend.runs() == expected


def test_equal_deadlines_are_served_as_they_came(desk: Desk) -> None:
    desk.change(queue_order='edf')
    for number in range(4):
        desk.ask(str(number), 50.0)
    for number in range(4):
        desk.say(Finished(number, EOS, Bill()))
    assert desk.backend.runs() == [0, 1, 2, 3]


def test_the_order_may_change_while_queries_wait(desk: Desk) -> None:
    for number, budget_s in enumerate((50.0, 40.0, 30.0)):
        desk.ask(str(number), budget_s)
    desk.change(queue_order='edf')
    desk.say(Finished(0, EOS, Bill()))
    assert desk.backend.runs() == [0, 2]


def test_the_bound_holds_in_both_orders(desk: Desk) -> None:
    desk.change(queue_order='edf', max_queue_length=2)
    for number in range(4):
        desk.ask(str(number), 50.0 - number)
    assert desk.replies.ended() == {'3': MissReason.QUEUE_FULL}


# Admission


@pytest.mark.parametrize('order', ['fifo', 'edf'])
def test_what_runs_and_waits_ahead_counts_and_the_smallest_budget_is_enough(
    desk: Desk, order: str
) -> None:
    desk.dispatcher.change_planner(READER)
    desk.change(queue_order=order)
    desk.ask('running', 6.0, 20, max_new_tokens=1)  # 2 s
    desk.ask('ahead', 6.0, 15, max_new_tokens=1)  # 1.5 s
    desk.now_s += 1.0
    desk.ask('late', 5.0, 25, max_new_tokens=1)  # begins after 2.5 s, and takes 2.5 s
    miss = desk.outcome('late')
    assert miss.reason is MissReason.OVERLOADED
    assert 'its turn is predicted to come in 2.500 s' in miss.detail
    assert miss.minimum_time_budget_s == pytest.approx(5.021, abs=0.0011)
    desk.ask('again', miss.minimum_time_budget_s, 25, max_new_tokens=1)
    assert desk.replies.ended() == {'late': MissReason.OVERLOADED}


def test_what_could_not_even_be_read_alone_is_infeasible(desk: Desk) -> None:
    desk.dispatcher.change_planner(READER)
    desk.ask('never', 1.0, 10)  # reading takes 1 s
    miss = desk.outcome('never')
    assert miss.reason is MissReason.INFEASIBLE
    assert miss.minimum_time_budget_s == pytest.approx(1.021, abs=0.0011)


def test_a_free_backend_refuses_only_what_is_certain_to_be_lost(desk: Desk) -> None:
    desk.dispatcher.change_planner(READER)
    for number in range(6):  # an estimate that is far too long for what comes then
        desk.say(Finished(desk.ask(f'long {number}', 60.0), EOS, Bill(response_tokens=10)))
    desk.ask('short', 0.15, 1, max_new_tokens=10)  # 0.1 s of reading, 0.09 s of writing
    assert 'short' not in desk.replies.ended()
    assert desk.backend.runs()[-1] == 6


def test_the_likeliest_of_those_that_wait_in_vain_has_the_turn_of_a_free_backend(
    desk: Desk,
) -> None:
    desk.dispatcher.change_planner(READER)
    running = desk.ask('running', 60.0, 1, max_new_tokens=1)
    desk.ask('late', 1.3, 10, max_new_tokens=1)  # after 0.1 s, 1 s
    desk.ask('later', 2.4, 10, max_new_tokens=1)
    desk.now_s += 1.0  # the running one has taken longer than predicted
    desk.say(Finished(running, EOS, Bill(response_tokens=1)))
    assert desk.replies.ended() == {'running': EOS, 'late': MissReason.INFEASIBLE}
    assert desk.backend.runs() == [0, 2]


def test_of_what_is_not_tokenised_the_bytes_count(desk: Desk) -> None:
    desk.dispatcher.change_planner(READER)
    desk.ask('running', 60.0, 20, max_new_tokens=1)
    submitted = len(desk.backend.submitted())
    desk.submit('long', 2.5, prompt='word ' * 100, max_new_tokens=1)  # about 125 tokens
    assert desk.outcome('long').reason is MissReason.OVERLOADED
    assert len(desk.backend.submitted()) == submitted
    desk.submit('short', 2.5, prompt='word', max_new_tokens=1)
    assert len(desk.backend.submitted()) == submitted + 1


def test_of_a_partial_answer_a_share_will_do(desk: Desk) -> None:
    desk.dispatcher.change_planner(READER)
    for number in range(6):
        desk.say(Finished(desk.ask(f'{number}', 60.0), EOS, Bill(response_tokens=100)))
    desk.ask('running', 60.0, 20, max_new_tokens=1)  # 2 s
    budget_s = 2.0 + 0.1 + 0.6  # for 60 of 100 tokens
    for policy in (OverrunPolicy.KILL, OverrunPolicy.SKIP_NEXT):
        desk.ask(policy.name, budget_s, policy=policy, max_new_tokens=100)
        assert desk.outcome(policy.name).reason is MissReason.OVERLOADED
    desk.ask('partial', budget_s, policy=OverrunPolicy.PARTIAL, max_new_tokens=100)
    assert 'partial' not in desk.replies.ended()
    desk.ask('sliver', 2.0 + 0.1 + 0.4, policy=OverrunPolicy.PARTIAL, max_new_tokens=100)
    assert desk.outcome('sliver').reason is MissReason.OVERLOADED


def test_alone_admits_what_could_be_met_if_nobody_else_had_asked(desk: Desk) -> None:
    desk.dispatcher.change_planner(READER)
    desk.change(admission='alone')
    desk.ask('running', 60.0, 50)
    desk.ask('hopeless', 2.0, 10)
    desk.ask('never', 2.0, 30)
    assert desk.replies.ended() == {'never': MissReason.INFEASIBLE}


def test_lengths_of_answers_are_learned(desk: Desk) -> None:
    desk.dispatcher.change_planner(READER)
    for number in range(40):
        answered = desk.ask(f'{number}', 60.0, 1, max_new_tokens=90)
        desk.say(Finished(answered, EOS, Bill(response_tokens=25, total_time=1.0)))
    running = desk.ask('running', 60.0, 1, max_new_tokens=90)
    desk.say(Planned(running, Bill(prompt_tokens=1, kept_tokens=1)))
    # About 0.24 s of writing ahead, 0.1 of reading and 0.02 of writing: it would be 0.6 unlearned.
    desk.ask('within', 0.46, 1)
    desk.ask('beyond', 0.30, 1)
    assert desk.outcome('beyond').reason is MissReason.OVERLOADED
    assert 'within' not in desk.replies.ended()


def test_lengths_of_answers_that_were_cut_off_are_learned_too(desk: Desk) -> None:
    desk.dispatcher.change_planner(READER)
    for number in range(6):
        running = desk.ask(f'{number}', 1.0, 1, max_new_tokens=200)
        desk.say(Planned(running, Bill(prompt_tokens=1, kept_tokens=1)), Text(running, 'x', 80))
        desk.pass_time(1.0)
        desk.say(Finished(running, None, Bill(response_tokens=80)))
    desk.ask('running', 60.0, 1, max_new_tokens=1)  # 0.1 s
    desk.ask('next', 1.9, 1, max_new_tokens=200)  # takes 0.1 and up to 1.99 s
    assert desk.outcome('next').reason is MissReason.OVERLOADED


def test_what_is_ahead_counts_no_longer_than_to_its_last_moment(desk: Desk) -> None:
    desk.dispatcher.change_planner(READER)
    first = desk.ask('first', 60.0, 1, max_new_tokens=90)
    desk.say(Finished(first, EOS, Bill(response_tokens=90, total_time=1.0)))
    desk.ask('running', 1.5, 10, max_new_tokens=90)  # would take 1.89 s
    desk.ask('next', 1.9, 3)
    assert desk.replies.ended() == {'first': EOS}


def test_a_newcomer_with_an_earlier_deadline_ends_at_once_a_longer_one_that_it_makes_late(
    desk: Desk,
) -> None:
    desk.dispatcher.change_planner(READER)
    desk.change(queue_order='edf')
    desk.ask('running', 60.0, 20, max_new_tokens=1)
    desk.ask('waiting', 5.0, 20, max_new_tokens=1)
    assert desk.replies.outcomes == []
    desk.ask('earlier', 4.5, 15, max_new_tokens=1)
    miss = desk.outcome('waiting')
    assert miss.reason is MissReason.OVERLOADED
    assert miss.minimum_time_budget_s == pytest.approx(5.521, abs=0.0011)
    assert desk.dispatcher.queue_length == 1


def test_a_newcomer_does_not_end_those_that_would_have_been_answered(desk: Desk) -> None:
    desk.dispatcher.change_planner(READER)
    desk.change(queue_order='edf')
    desk.ask('running', 60.0, 20, max_new_tokens=1)
    for number in range(3):
        desk.ask(f'{number}', 5.5, 10, max_new_tokens=1)
    desk.ask('earlier', 5.0, 25, max_new_tokens=1)
    assert desk.replies.ended() == {'earlier': MissReason.OVERLOADED}


def test_what_waits_counts_by_the_lengths_that_were_learned_meanwhile(desk: Desk) -> None:
    desk.dispatcher.change_planner(READER)
    for number in range(3):
        desk.ask(f'{number}', 60.0, 1, max_new_tokens=90)  # 0.1 s, and up to 0.89 s: unknown
    for _ in range(64):
        desk.dispatcher.lengths.observe(Habit('a'), AnswerLength(90, True), 90, ())
    desk.say(Finished(0, EOS, Bill(response_tokens=90)))
    # Almost 0.99 s for each of the two that are ahead, and 0.1 s; unlearned, 0.55 s for each.
    desk.ask('late', 1.7, 1, max_new_tokens=1)
    assert desk.outcome('late').reason is MissReason.OVERLOADED


def test_what_waits_counts_by_the_settings_of_this_moment(desk: Desk) -> None:
    desk.dispatcher.change_planner(READER)
    desk.change(queue_order='edf', min_partial_share=0.1)
    desk.ask('running', 60.0, 20, max_new_tokens=1)
    desk.ask('partial', 2.4, 1, policy=OverrunPolicy.PARTIAL, max_new_tokens=100)
    assert desk.replies.outcomes == []
    desk.change(min_partial_share=1.0)
    desk.ask('newcomer', 60.0)
    assert desk.outcome('partial').reason is MissReason.OVERLOADED


@pytest.mark.parametrize(('thinking', 'is_accepted'), [(0, True), (50, False)])
def test_half_of_an_answer_is_half_of_what_comes_after_the_thinking(
    desk: Desk, thinking: int, is_accepted: bool
) -> None:
    desk.dispatcher.change_planner(READER)
    bill = Bill(response_tokens=80, thinking_tokens=thinking)
    for number in range(40):
        desk.say(Finished(desk.ask(f'{number}', 60.0, 1, max_new_tokens=90), EOS, bill))
    desk.ask('running', 60.0, 20, max_new_tokens=1)  # 2 s
    # Behind it 0.1 s, and 0.4 s for half of the answer, or 0.65 s
    desk.ask('partial', 2.65, 1, policy=OverrunPolicy.PARTIAL, max_new_tokens=90)
    assert ('partial' not in desk.replies.ended()) == is_accepted


def test_how_long_plans_are_is_not_learned_from_choices(desk: Desk) -> None:
    desk.dispatcher.change_planner(READER)
    choices = Constraint(ConstraintKind.CHOICES, choices=('GO', 'STOP'))
    for number in range(5):
        choice = desk.ask(f'{number}', 60.0, 1, constraint=choices)
        desk.say(Finished(choice, EOS, Bill(response_tokens=2)))
    desk.ask('running', 60.0, 20, max_new_tokens=1)  # 2 s
    desk.ask('choice', 2.4, 1, constraint=choices, max_new_tokens=200)
    desk.ask('free', 2.4, 1, max_new_tokens=200)
    assert desk.replies.ended().keys() & {'choice', 'free'} == {'free'}


def test_a_newcomer_is_tested_by_the_newest_estimate(desk: Desk) -> None:
    desk.dispatcher.change_planner(READER)
    desk.ask('running', 60.0, 20, max_new_tokens=1)
    assert READER.time_model is not None
    desk.dispatcher.change_planner(BudgetPlanner(time_model=READER.time_model.scaled(2.0)))
    desk.ask('late', 4.0, 1, max_new_tokens=1)  # after 4 s
    assert desk.outcome('late').reason is MissReason.OVERLOADED


def test_a_long_prompt_is_not_taken_for_longer_after_many_short_ones(desk: Desk) -> None:
    desk.dispatcher.change_planner(READER)
    for number in range(30):  # a byte, and the chat template
        desk.say(Finished(desk.ask(f'{number}', 60.0, 30, prompt='?'), EOS, Bill()))
    desk.ask('running', 60.0, 20, max_new_tokens=1)  # 2 s
    desk.submit('long', 20.0, prompt='word ' * 100, max_new_tokens=1)  # about 155 tokens
    assert 'long' not in desk.replies.ended()


# The next turn comes, whatever frees it


@pytest.fixture
def blocked(desk: Desk) -> Desk:
    """Nothing runs: what is first is not tokenised yet, what is second is."""
    desk.change(queue_order='edf')
    desk.submit('second', 60.0, asker='b')
    desk.submit('first', 5.0)
    desk.say(Tokenised(0, 1))
    assert desk.backend.runs() == []
    return desk


def test_the_next_runs_when_the_first_is_cancelled(blocked: Desk) -> None:
    blocked.dispatcher.cancel('a', 'first', 'withdrawn')
    assert blocked.backend.runs() == [0]


def test_the_next_runs_when_the_first_has_come_to_its_last_moment(blocked: Desk) -> None:
    blocked.pass_time(5.0)
    assert blocked.replies.ended() == {'first': MissReason.KILLED}
    assert blocked.backend.runs() == [0]


def test_the_next_runs_when_the_order_changes(blocked: Desk) -> None:
    blocked.change(queue_order='fifo')
    assert blocked.backend.runs() == [0]


def test_by_deadline_what_must_end_earlier_is_first_also_after_the_reserve_has_changed(
    desk: Desk,
) -> None:
    desk.change(queue_order='edf')
    desk.ask('running', 60.0)
    desk.ask('less', 50.0)
    desk.change(publish_reserve_s=9.0)
    desk.ask('more', 55.0)
    desk.say(Finished(0, EOS, Bill()))
    assert [told.last_moment_s for told in desk.backend.told if isinstance(told, Run)] == [
        pytest.approx(1059.98),
        pytest.approx(1046.0),
    ]


# Cancelling


def test_cancel_ends_a_query_that_waits_or_runs_and_no_other(desk: Desk) -> None:
    for query_id, asker in (('1', 'a'), ('2', 'a'), ('2', 'b'), ('3', 'a')):
        desk.ask(query_id, 60.0, asker=asker)
    assert desk.dispatcher.cancel('a', '2', 'withdrawn') == 1
    assert desk.dispatcher.cancel('a', '1', 'withdrawn') == 1
    assert desk.dispatcher.cancel('a', '1', 'withdrawn') == 0
    assert desk.replies.ended() == {'1': MissReason.CANCELLED, '2': MissReason.CANCELLED}
    assert [message for message in desk.backend.told if isinstance(message, Drop)] == [
        Drop(1),
        Drop(0),
    ]
    desk.say(Finished(0, None, Bill()))
    assert desk.backend.runs() == [0, 2]


def test_cancel_without_an_id_ends_all_of_an_asker(desk: Desk) -> None:
    for query_id, asker in (('1', 'a'), ('2', 'a'), ('3', 'b'), ('4', 'a')):
        desk.ask(query_id, 60.0, asker=asker)
    assert desk.dispatcher.cancel('a', '', 'withdrawn') == 3
    assert sorted(desk.replies.ended()) == ['1', '2', '4']


# Pausing


def test_a_paused_dispatcher_refuses_and_has_what_ran_dropped(desk: Desk) -> None:
    desk.ask('running', 60.0)
    desk.ask('waiting', 60.0)
    desk.dispatcher.pause(Miss(MissReason.CANCELLED, 'inactive'))
    desk.submit('refused', 60.0)
    assert desk.replies.ended() == {
        'running': MissReason.CANCELLED,
        'waiting': MissReason.CANCELLED,
        'refused': MissReason.NOT_READY,
    }
    assert Drop(0) in desk.backend.told
    desk.dispatcher.resume()
    desk.ask('next', 60.0)
    assert desk.backend.runs() == [0]  # the worker is still busy with what was dropped
    desk.say(Finished(0, None, Bill()))
    assert desk.backend.runs() == [0, 2]


def test_a_worker_that_does_not_stop_is_replaced_also_while_paused(desk: Desk) -> None:
    desk.ask('running', 60.0)
    desk.dispatcher.pause(Miss(MissReason.CANCELLED, 'inactive'))
    desk.pass_time(0.3)
    assert 'abort_grace' in desk.backend.killed[0]


def test_a_larger_reserve_holds_for_the_next_query_only(desk: Desk) -> None:
    desk.ask('before', 5.0, policy=OverrunPolicy.KILL)
    desk.change(publish_reserve_s=1.0)
    desk.ask('after', 5.0)
    desk.pass_time(4.5)
    assert desk.replies.ended() == {'after': MissReason.KILLED}
    desk.say(Finished(0, EOS, Bill()))
    assert desk.replies.ended()['before'] is EOS


def test_many_short_queries_with_long_budgets_leave_nothing_behind(desk: Desk) -> None:
    for number in range(2000):
        desk.say(Finished(desk.ask(str(number), 600.0), EOS, Bill()))
    assert len(desk.dispatcher._last_moments._heap) < 200
    assert len(desk.dispatcher._guard._heap) < 10
