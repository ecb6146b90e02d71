"""The own model and a remote engine answer the same query: who wins, and what is published."""

from collections.abc import Iterator

import pytest

from support.fake_backend import Drop, Faulted, Finished, Planned, Rejected, Text, Tokenised
from support.fake_remote_desk import FakeRemoteDesk
from timebill_ros.core.bill import Bill
from timebill_ros.core.constraint import Constraint, ConstraintKind
from timebill_ros.core.outcome import (
    NOT_KNOWN,
    Answer,
    FinishReason,
    Miss,
    MissReason,
    OverrunPolicy,
)
from timebill_ros.core.remote_policy import RemotePolicy
from timebill_ros.dispatch.answer_length import AnswerLength
from timebill_ros.dispatch.habit import Habit
from timebill_ros.dispatch.learned_lengths import LearnedLengths

RACE = RemotePolicy.RACE
EOS, LENGTH = FinishReason.EOS, FinishReason.LENGTH
KILL, PARTIAL, SKIP_NEXT = OverrunPolicy.KILL, OverrunPolicy.PARTIAL, OverrunPolicy.SKIP_NEXT
LAST_S = 4.98
SCHEMA = Constraint(ConstraintKind.JSON_SCHEMA, '{"type": "object"}')
OWN = Answer('Stop.', EOS)
REMOTE = Answer('Turn left.', EOS, backend='remote')


@pytest.fixture
def desk() -> Iterator[FakeRemoteDesk]:
    desk = FakeRemoteDesk()
    yield desk
    desk.dispatcher.shut_down()


def begin(desk: FakeRemoteDesk, policy: OverrunPolicy = KILL, **fields: object) -> int:
    """Ask a query whose own model is writing after 1 s, 4 s before the deadline."""
    number = desk.ask('q', 5.0, remote_policy=RACE, policy=policy, **fields)
    desk.pass_time(1.0)
    desk.say(Planned(number, Bill(prompt_tokens=1, kept_tokens=1)))
    return number


def own_answers(desk: FakeRemoteDesk, number: int, text: str = 'Stop.', tokens: int = 4) -> None:
    bill = Bill(prompt_tokens=1, response_tokens=tokens, total_time=0.5)
    desk.say(Text(number, text, tokens), Finished(number, EOS, bill))


def has_learned(desk: FakeRemoteDesk, length: AnswerLength) -> bool:
    """Return whether one answer of the own model was learned from, of this length."""
    habit, expected = Habit('a'), LearnedLengths()
    expected.observe(habit, length, 10, ())
    return desk.dispatcher.lengths.of(habit) == expected.of(habit)


def test_both_begin_at_once(desk: FakeRemoteDesk) -> None:
    desk.ask('q', 5.0, remote_policy=RACE)
    assert desk.engine.asked == desk.backend.runs() == [0]


@pytest.mark.parametrize('is_own_done', [False, True])
def test_a_whole_remote_answer_wins_whoever_was_first(
    desk: FakeRemoteDesk, is_own_done: bool
) -> None:
    number = begin(desk)
    if is_own_done:
        own_answers(desk, number)
    desk.pass_time(3.9)
    desk.answer('Turn ', 'left', '.')
    assert desk.outcome('q') == REMOTE
    assert (Drop(number) in desk.backend.told) == (not is_own_done)
    assert desk.engine.aborted == []
    assert desk.replies.chunks == [('q', 0, 'Turn left.')]


def test_the_own_answer_is_held_to_the_last_moment_and_no_longer(desk: FakeRemoteDesk) -> None:
    number = begin(desk)
    own_answers(desk, number)
    desk.remote.on_text(number, 'Turn ', 1)
    desk.pass_time(LAST_S - 1.0 - 0.01)
    assert desk.replies.outcomes == []
    desk.pass_time(0.01)
    assert desk.outcome('q') == OWN
    assert desk.engine.aborted == [number]
    desk.answer('Turn ', 'left.')
    assert len(desk.replies.outcomes) == 1


def test_while_an_answer_is_held_the_own_model_answers_others(desk: FakeRemoteDesk) -> None:
    own_answers(desk, begin(desk))
    other = desk.ask('other', 4.0)
    assert desk.backend.runs()[-1] == other


def test_no_chunks_before_there_is_a_winner(desk: FakeRemoteDesk) -> None:
    number = begin(desk)
    desk.say(Text(number, 'Stop now ', 2))
    desk.remote.on_text(number, 'Turn left ', 2)
    assert desk.replies.chunks == []
    desk.fault()
    assert desk.replies.chunks == [('q', 0, 'Stop now')]
    desk.pass_time(1.0)
    desk.say(Text(number, 'please ', 3))
    assert len(desk.replies.chunks) == 2


def test_a_remote_fault_publishes_the_own_answer_at_once(desk: FakeRemoteDesk) -> None:
    number = begin(desk)
    own_answers(desk, number)
    desk.fault()
    assert desk.outcome('q') == OWN


def test_a_remote_fault_before_lets_the_own_model_go_on(desk: FakeRemoteDesk) -> None:
    number = begin(desk)
    desk.fault()
    own_answers(desk, number)
    assert desk.outcome('q') == OWN


def test_the_bill_has_what_each_took_when_the_remote_engine_wins(desk: FakeRemoteDesk) -> None:
    number = begin(desk)
    desk.say(Text(number, 'Stop and', 2))
    desk.pass_time(1.0)
    desk.answer('Turn ', 'left', '.')
    bill = desk.bill('q')
    assert (bill.remote_time, bill.total_time, bill.decode_time) == (2.0, 2.0, 1.0)
    assert (bill.response_tokens, bill.discarded_tokens) == (3, 2)
    assert (bill.prompt_tokens, bill.kept_tokens) == (1, 1)


def test_the_bill_has_what_each_took_when_the_own_model_wins(desk: FakeRemoteDesk) -> None:
    number = begin(desk)
    desk.remote.on_text(number, 'Turn left', 3)
    own_answers(desk, number)
    desk.pass_time(1.0)
    desk.fault()
    bill = desk.bill('q')
    assert (bill.remote_time, bill.total_time) == (2.0, 0.5)
    assert (bill.response_tokens, bill.discarded_tokens) == (4, 3)


def test_of_a_waiting_query_the_remote_engine_may_answer(desk: FakeRemoteDesk) -> None:
    desk.ask('running', 20.0)
    number = desk.ask('q', 19.0, remote_policy=RACE)
    desk.pass_time(1.0)
    desk.answer('Turn ', 'left', '.')
    assert desk.outcome('q') == REMOTE
    assert Drop(number) in desk.backend.told
    assert desk.dispatcher.queue_length == 0


@pytest.mark.parametrize('own_fails', ['infeasible', 'too long', 'rejected', 'faulted', 'closed'])
@pytest.mark.parametrize('remote_answers', [True, False])
def test_if_the_own_model_cannot_the_remote_engine_goes_on_alone(
    desk: FakeRemoteDesk, own_fails: str, remote_answers: bool
) -> None:
    budget_s = 0.5 if own_fails == 'infeasible' else 5.0
    desk.submit('q', budget_s, remote_policy=RACE)
    if own_fails == 'too long':
        desk.say(Tokenised(0, 1000))
    elif own_fails in ('infeasible', 'rejected', 'faulted'):
        desk.say(Tokenised(0, 10))
    if own_fails == 'rejected':
        desk.say(Rejected(0, 'no template'))
    elif own_fails == 'faulted':
        desk.say(Text(0, 'Stop', 1), Faulted(0, 'torn'))
    elif own_fails == 'closed':
        desk.dispatcher.close(Miss(MissReason.ENGINE_FAULT, 'it died'))
    assert desk.replies.outcomes == []
    if remote_answers:
        desk.answer('Turn ', 'left', '.')
        assert desk.outcome('q') == REMOTE
        return
    desk.fault()
    expected = {'infeasible': MissReason.INFEASIBLE, 'faulted': MissReason.ENGINE_FAULT}
    invalid = MissReason.INVALID_QUERY
    expected |= {'closed': MissReason.ENGINE_FAULT, 'too long': invalid, 'rejected': invalid}
    assert desk.outcome('q').reason is expected[own_fails]


def test_an_answer_that_is_held_survives_the_own_model(desk: FakeRemoteDesk) -> None:
    own_answers(desk, begin(desk))
    desk.dispatcher.close(Miss(MissReason.ENGINE_FAULT, 'it died'))
    desk.pass_time(LAST_S)
    assert desk.outcome('q') == OWN


def test_what_the_own_model_still_says_when_it_is_out_is_not_heard(desk: FakeRemoteDesk) -> None:
    desk.submit('q', 5.0, remote_policy=RACE)
    desk.say(Tokenised(0, 1000), Tokenised(0, 1000))
    assert desk.replies.outcomes == []
    desk.pass_time(LAST_S)
    assert desk.outcome('q').reason is MissReason.KILLED


def test_chunks_are_published_of_a_remote_engine_that_is_alone(desk: FakeRemoteDesk) -> None:
    number = begin(desk)
    desk.remote.on_text(number, 'Turn left ', 2)
    desk.say(Faulted(number, 'torn'))
    assert desk.replies.chunks == [('q', 0, 'Turn left')]


def test_an_answer_that_the_server_cut_loses_to_a_whole_one(desk: FakeRemoteDesk) -> None:
    number = begin(desk)
    desk.answer('Turn ', reason=LENGTH)
    assert desk.replies.outcomes == []
    own_answers(desk, number)
    assert desk.outcome('q') == OWN
    assert desk.bill('q').discarded_tokens == 1


def test_an_answer_that_the_server_cut_loses_to_a_whole_one_that_is_held(
    desk: FakeRemoteDesk,
) -> None:
    own_answers(desk, begin(desk))
    desk.answer('Turn ', reason=LENGTH)
    assert desk.outcome('q') == OWN


@pytest.mark.parametrize('ending', ['cut', 'fault', 'last moment'])
def test_an_answer_that_the_server_cut_is_better_than_none_that_is_whole(
    desk: FakeRemoteDesk, ending: str
) -> None:
    number = begin(desk)
    desk.answer('Turn ', 'left', reason=LENGTH)
    if ending == 'cut':
        desk.say(Text(number, 'Stop', 1), Finished(number, LENGTH, Bill(response_tokens=1)))
    elif ending == 'fault':
        desk.say(Faulted(number, 'torn'))
    desk.pass_time(LAST_S)
    assert desk.outcome('q') == Answer('Turn left', LENGTH, backend='remote')


def test_half_a_document_loses(desk: FakeRemoteDesk) -> None:
    number = begin(desk, constraint=SCHEMA)
    desk.answer('{', reason=LENGTH)
    own_answers(desk, number, '{}')
    assert desk.outcome('q') == Answer('{}', EOS)


def test_a_document_that_is_none_loses(desk: FakeRemoteDesk) -> None:
    number = begin(desk, constraint=SCHEMA)
    desk.answer('{"a"')
    own_answers(desk, number, '{}')
    assert desk.outcome('q') == Answer('{}', EOS)


def test_a_partial_own_answer_is_published_only_without_a_whole_remote_one(
    desk: FakeRemoteDesk,
) -> None:
    number = begin(desk, PARTIAL)
    desk.say(Text(number, 'Stop now ple', 3))
    desk.remote.on_text(number, 'Turn left and', 3)
    desk.pass_time(LAST_S - 1.0)
    assert desk.outcome('q') == Answer('Stop now', FinishReason.DEADLINE)
    other = FakeRemoteDesk()
    other.say(Text(begin(other, PARTIAL), 'Stop now ple', 3))
    other.pass_time(LAST_S - 1.0 - 0.01)
    other.answer('Turn ', 'left', '.')
    assert other.outcome('q') == REMOTE
    other.dispatcher.shut_down()


def test_a_partial_remote_answer_is_better_than_nothing(desk: FakeRemoteDesk) -> None:
    number = begin(desk, PARTIAL)
    desk.remote.on_text(number, 'Turn left and', 3)
    desk.pass_time(LAST_S)
    expected = Answer('Turn left', FinishReason.DEADLINE, backend='remote')
    assert desk.outcome('q') == expected
    assert Drop(number) in desk.backend.told


def test_under_skip_next_the_own_model_runs_on_alone(desk: FakeRemoteDesk) -> None:
    number = begin(desk, SKIP_NEXT)
    desk.remote.on_text(number, 'Turn left ', 2)
    desk.pass_time(LAST_S)
    assert desk.engine.aborted == [number]
    assert desk.replies.outcomes == []
    desk.answer('Turn ', 'left', '.')
    own_answers(desk, number)
    assert desk.outcome('q') == Answer('Stop.', EOS, deadline_met=False)


def test_under_skip_next_an_answer_that_is_held_is_in_time(desk: FakeRemoteDesk) -> None:
    own_answers(desk, begin(desk, SKIP_NEXT))
    desk.pass_time(LAST_S)
    assert desk.outcome('q') == OWN


def test_behind_a_late_query_the_remote_engine_goes_on_alone(desk: FakeRemoteDesk) -> None:
    late = desk.ask('late', 3.0, policy=SKIP_NEXT, max_new_tokens=1)
    desk.ask('q', 9.0, remote_policy=RACE)
    desk.pass_time(2.99)
    assert desk.backend.runs() == [late]
    assert desk.replies.outcomes == []
    desk.answer('Turn ', 'left', '.')
    assert desk.outcome('q') == REMOTE


def test_a_preempted_query_may_be_answered_by_the_remote_engine() -> None:
    desk = FakeRemoteDesk(queue_order='edf', preemption=True)
    number = desk.ask('q', 9.0, remote_policy=RACE, max_new_tokens=50)
    desk.say(Planned(number, Bill(prompt_tokens=1, kept_tokens=1)))
    urgent = desk.ask('urgent', 2.5, asker='b', max_new_tokens=1)
    assert desk.backend.runs() == [number, urgent]
    desk.pass_time(0.5)
    desk.answer('Turn ', 'left', '.')
    assert desk.outcome('q') == REMOTE
    bill = desk.bill('q')
    assert (bill.preemptions, bill.preempted_time, bill.remote_time) == (1, 0.5, 0.5)
    own_answers(desk, urgent)
    desk.say(Finished(number, None, Bill()))
    assert desk.outcome('urgent') == OWN
    assert desk.backend.told.count(Drop(number)) == 1
    desk.pass_time(5.0)
    assert desk.backend.killed == []
    desk.dispatcher.shut_down()


def test_keep_latest_withdraws_a_race_and_publishes_an_answer_that_is_held() -> None:
    desk = FakeRemoteDesk(keep_latest=True)
    begin(desk)
    second = desk.ask('second', 5.0, remote_policy=RACE)
    assert desk.outcome('q').reason is MissReason.CANCELLED
    assert desk.engine.aborted == [0]
    desk.say(Finished(0, None, Bill()))
    desk.fault(is_link=False)
    own_answers(desk, second)
    own_answers(desk, desk.ask('held', 5.0, remote_policy=RACE))
    desk.ask('newest', 5.0, remote_policy=RACE)
    assert desk.outcome('held') == OWN
    desk.dispatcher.shut_down()


@pytest.mark.parametrize('is_held', [False, True])
def test_a_cancelled_race_stops_both(desk: FakeRemoteDesk, is_held: bool) -> None:
    number = begin(desk)
    if is_held:
        own_answers(desk, number)
    assert desk.dispatcher.cancel('a', 'q', 'cancelled') == 1
    assert desk.outcome('q').reason is MissReason.CANCELLED
    assert desk.engine.aborted == [number]
    assert (Drop(number) in desk.backend.told) == (not is_held)


def test_a_lost_engine_leaves_the_race_to_the_own_model(desk: FakeRemoteDesk) -> None:
    number = begin(desk)
    desk.remote.use(None)
    own_answers(desk, number)
    assert desk.outcome('q') == OWN


def test_a_link_that_is_down_is_not_raced_and_the_answer_is_not_held(
    desk: FakeRemoteDesk,
) -> None:
    begin(desk)
    desk.fault()
    own_answers(desk, 0)
    number = desk.ask('p', 5.0, remote_policy=RACE)
    assert desk.engine.asked == [0]
    own_answers(desk, number)
    assert desk.outcome('p') == OWN


def test_an_unlikely_remote_answer_is_raced_but_not_a_hopeless_one(desk: FakeRemoteDesk) -> None:
    for wait_s in (1.0, 5.0, 6.0, 6.0, 6.0):
        desk.submit(f'after {wait_s} {desk.now_s}', 30.0, remote_policy=RemotePolicy.ONLY)
        desk.now_s += wait_s
        desk.answer('left')
    number = desk.ask('q', 5.0, remote_policy=RACE)
    assert desk.engine.asked[-1] == number
    desk.fault(is_link=False)
    own_answers(desk, number)
    desk.ask('hopeless', 0.9, remote_policy=RACE)
    assert desk.engine.asked[-1] == number


def test_the_own_model_is_judged_by_its_own_lengths(desk: FakeRemoteDesk) -> None:
    number = begin(desk)
    own_answers(desk, number, tokens=4)
    desk.answer(*['left '] * 9)
    assert has_learned(desk, AnswerLength(4, is_whole=True))


def test_an_answer_that_was_overtaken_counts_as_cut_off(desk: FakeRemoteDesk) -> None:
    number = begin(desk)
    desk.say(Text(number, 'Stop', 2))
    desk.answer(*['left '] * 9)
    assert has_learned(desk, AnswerLength(2, is_whole=False))


def test_a_choice_of_the_remote_engine_is_told_by_its_index(desk: FakeRemoteDesk) -> None:
    sides = Constraint(ConstraintKind.CHOICES, choices=('left', 'right'))
    number = desk.ask('q', 5.0, remote_policy=RACE, constraint=sides)
    desk.remote.on_finished(number, EOS, Bill(), NOT_KNOWN)  # none of them
    assert desk.replies.outcomes == []
    desk.dispatcher.shut_down()
