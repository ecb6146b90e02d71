"""Queries between a remote engine and the own model, with fakes and a clock that stands still."""

import pytest

from support.fake_remote_desk import FakeRemoteDesk
from timebill_ros.core.bill import Bill
from timebill_ros.core.constraint import Constraint, ConstraintKind
from timebill_ros.core.link_model import LinkState
from timebill_ros.core.outcome import (
    NOT_KNOWN,
    Answer,
    Confidence,
    FinishReason,
    Miss,
    MissReason,
    OverrunPolicy,
)
from timebill_ros.core.remote_policy import RemotePolicy
from timebill_ros.dispatch.habit import Habit

ONLY, PREFER = RemotePolicy.ONLY, RemotePolicy.PREFER
SCHEMA = Constraint(ConstraintKind.JSON_SCHEMA, '{"type": "object"}')


@pytest.fixture
def desk() -> FakeRemoteDesk:
    return FakeRemoteDesk()


def test_with_the_policy_off_the_engine_is_not_asked(desk: FakeRemoteDesk) -> None:
    desk.submit('q')
    assert desk.engine.asked == []
    assert desk.backend.submitted() == [0]


@pytest.mark.parametrize('policy', [ONLY, PREFER])
def test_a_remote_answer_is_the_reply(desk: FakeRemoteDesk, policy: RemotePolicy) -> None:
    desk.submit('q', remote_policy=policy)
    desk.now_s += 0.5
    desk.answer('Turn ', 'left', '.')
    assert desk.outcome('q') == Answer('Turn left.', FinishReason.EOS, backend='remote')
    assert desk.backend.told == []
    bill = desk.bill('q')
    assert (bill.remote_time, bill.total_time, bill.prompt_tokens) == (0.5, 0.0, 5)


def test_only_publishes_chunks_and_prefer_none_before_it_is_sure(desk: FakeRemoteDesk) -> None:
    for query_id, policy in (('only', ONLY), ('prefer', PREFER)):
        desk.submit(query_id, remote_policy=policy)
        desk.remote.on_text(desk.engine.asked[-1], 'Turn left', 2)
    assert desk.replies.chunks == [('only', 0, 'Turn')]


def test_a_fault_under_only_is_the_reply(desk: FakeRemoteDesk) -> None:
    desk.submit('q', remote_policy=ONLY)
    desk.fault('it broke')
    assert desk.outcome('q') == Miss(MissReason.ENGINE_FAULT, 'it broke', backend='remote')
    assert desk.backend.told == []


def test_a_fault_under_prefer_lets_the_own_model_answer(desk: FakeRemoteDesk) -> None:
    desk.submit('q', remote_policy=PREFER)
    desk.remote.on_text(0, 'Turn ri', 2)
    desk.now_s += 0.25
    desk.fault()
    desk.answer_here('Stop.')
    assert desk.outcome('q') == Answer('Stop.', FinishReason.EOS)
    assert desk.bill('q').remote_time == 0.25
    assert desk.bill('q').discarded_tokens == 2
    assert ''.join(chunk[2] for chunk in desk.replies.chunks) == 'Stop.'


def test_a_silent_engine_is_left_in_time_for_the_own_model(desk: FakeRemoteDesk) -> None:
    desk.submit('q', budget_s=5.0, remote_policy=PREFER)
    desk.pass_time(2.5)
    assert desk.backend.submitted() == []
    desk.pass_time(0.7)  # 2 s are needed, and 5 - 0.02 s were left
    assert desk.backend.submitted() == [0]
    assert desk.engine.aborted == [0]
    desk.answer_here('Stop.')
    assert desk.outcome('q') == Answer('Stop.', FinishReason.EOS)


def test_the_switch_is_earlier_behind_what_waits(desk: FakeRemoteDesk) -> None:
    desk.ask('running', 20.0)
    desk.submit('q', budget_s=5.0, remote_policy=PREFER)
    desk.pass_time(1.7)
    assert desk.engine.aborted == [1]


def test_the_switch_is_earlier_behind_the_waiting_ones_too(desk: FakeRemoteDesk) -> None:
    for query_id in ('running', 'waiting'):
        desk.ask(query_id, 30.0)
    desk.submit('q', budget_s=7.0, remote_policy=PREFER)
    desk.pass_time(2.5)  # 1.5 s for each of the others on average, 2 s for this one
    assert desk.engine.aborted == [2]


def test_chunks_that_are_out_are_not_followed_by_another_models(desk: FakeRemoteDesk) -> None:
    desk.submit('q', budget_s=1.5, remote_policy=PREFER)  # the own model cannot be in time
    desk.remote.on_text(0, 'Turn left', 2)
    assert desk.replies.chunks == [('q', 0, 'Turn')]
    desk.fault('it broke')
    assert desk.outcome('q').reason is MissReason.ENGINE_FAULT
    assert desk.backend.told == []


def test_what_a_left_engine_still_says_is_not_heard(desk: FakeRemoteDesk) -> None:
    desk.submit('q', budget_s=5.0, remote_policy=PREFER)
    desk.pass_time(3.1)
    desk.answer('Turn ', 'left.')
    desk.fault()
    assert desk.replies.outcomes == []
    desk.answer_here('Stop.')
    assert desk.outcome('q').text == 'Stop.'


def test_an_answer_that_is_about_to_be_whole_is_waited_for(desk: FakeRemoteDesk) -> None:
    for number in range(3):
        desk.submit(str(number), remote_policy=PREFER)
        desk.answer('left', '.')
    desk.submit('q', budget_s=5.0, remote_policy=PREFER)
    desk.pass_time(2.0)
    desk.remote.on_text(desk.engine.asked[-1], 'Turn', 1)
    desk.pass_time(2.0)
    assert desk.backend.told == []
    desk.answer(' left', '.')
    assert desk.outcome('q').backend == 'remote'


@pytest.mark.parametrize('policy', [ONLY, PREFER])
@pytest.mark.parametrize('overrun', [OverrunPolicy.KILL, OverrunPolicy.SKIP_NEXT])
def test_there_is_one_reply_by_the_deadline_whatever_is_silent(
    desk: FakeRemoteDesk, policy: RemotePolicy, overrun: OverrunPolicy
) -> None:
    desk.submit('q', budget_s=1.0, remote_policy=policy, policy=overrun)
    desk.pass_time(0.98)
    assert desk.outcome('q').reason is MissReason.KILLED
    assert 'the remote engine was answering' in desk.outcome('q').detail
    assert desk.engine.aborted == [0]
    desk.fault()
    desk.pass_time(5.0)
    assert len(desk.replies.outcomes) == 1


def test_partial_takes_the_whole_words_of_a_remote_answer(desk: FakeRemoteDesk) -> None:
    desk.submit('q', budget_s=1.0, remote_policy=ONLY, policy=OverrunPolicy.PARTIAL)
    desk.remote.on_text(0, 'Turn left no', 3)
    desk.pass_time(0.98)
    assert desk.outcome('q') == Answer('Turn left', FinishReason.DEADLINE, backend='remote')


def test_an_answer_cut_by_its_length_says_so(desk: FakeRemoteDesk) -> None:
    desk.submit('q', remote_policy=ONLY)
    desk.answer('Turn', reason=FinishReason.LENGTH)
    assert desk.outcome('q').finish_reason is FinishReason.LENGTH


def test_a_document_cut_by_its_length_is_none(desk: FakeRemoteDesk) -> None:
    desk.submit('q', remote_policy=ONLY, constraint=SCHEMA)
    desk.answer('{', reason=FinishReason.LENGTH)
    assert desk.outcome('q').reason is MissReason.ENGINE_FAULT
    desk.submit('p', remote_policy=PREFER, constraint=SCHEMA)
    desk.answer('{', reason=FinishReason.LENGTH)
    assert desk.backend.submitted() == [1]


def test_a_choice_is_told_by_its_index(desk: FakeRemoteDesk) -> None:
    sides = Constraint(ConstraintKind.CHOICES, choices=('left', 'right'))
    desk.submit('q', remote_policy=ONLY, constraint=sides)
    desk.remote.on_finished(0, FinishReason.EOS, Bill(), Confidence(1))
    assert desk.outcome('q').text == 'right'
    assert desk.outcome('q').confidence.choice == 1


def test_a_cancelled_query_is_aborted(desk: FakeRemoteDesk) -> None:
    desk.submit('q', remote_policy=ONLY)
    assert desk.dispatcher.cancel('a', 'q', 'cancelled') == 1
    assert desk.engine.aborted == [0]


def test_many_remote_queries_run_at_once_up_to_the_bound(desk: FakeRemoteDesk) -> None:
    for number in range(4):
        desk.submit(str(number), remote_policy=ONLY)
    assert desk.engine.asked == [0, 1, 2]
    assert desk.outcome('3').reason is MissReason.QUEUE_FULL
    desk.submit('own', remote_policy=PREFER)
    assert desk.backend.submitted() == [4]


def test_remote_queries_survive_the_own_models_end(desk: FakeRemoteDesk) -> None:
    desk.submit('only', remote_policy=ONLY)
    desk.submit('prefer', remote_policy=PREFER)
    desk.ask('own', 9.0)
    desk.dispatcher.close(Miss(MissReason.ENGINE_FAULT, 'it died'))
    desk.submit('later', remote_policy=ONLY)
    assert list(desk.replies.ended()) == ['own']
    desk.remote.on_faulted(1, 'a fault', is_link=False)
    assert desk.outcome('prefer').reason is MissReason.ENGINE_FAULT
    desk.answer('left')
    assert desk.outcome('later').text == 'left'


def test_nothing_is_left_when_the_node_is_paused(desk: FakeRemoteDesk) -> None:
    desk.submit('only', remote_policy=ONLY)
    desk.submit('prefer', remote_policy=PREFER)
    desk.dispatcher.pause(Miss(MissReason.CANCELLED, 'deactivated'))
    assert desk.replies.ended() == {
        'only': MissReason.CANCELLED,
        'prefer': MissReason.CANCELLED,
    }
    assert desk.engine.aborted == [0, 1]


def test_a_lost_engine_gives_its_queries_back(desk: FakeRemoteDesk) -> None:
    desk.submit('only', remote_policy=ONLY)
    desk.submit('prefer', remote_policy=PREFER)
    desk.remote.use(None)
    assert desk.outcome('only').reason is MissReason.ENGINE_FAULT
    desk.answer_here('Stop.')
    assert desk.outcome('prefer').text == 'Stop.'


def test_an_engine_that_cannot_be_asked_is_a_fault(desk: FakeRemoteDesk) -> None:
    desk.engine.is_there = False
    desk.submit('only', remote_policy=ONLY)
    desk.submit('prefer', remote_policy=PREFER)
    assert desk.outcome('only').reason is MissReason.ENGINE_FAULT
    assert desk.backend.submitted() == [1]


def test_one_fault_and_the_link_is_down_for_a_second(desk: FakeRemoteDesk) -> None:
    desk.submit('0', remote_policy=PREFER)
    desk.fault('it broke')
    assert (desk.remote.link.state, desk.remote.link.fault) == (LinkState.DOWN, 'it broke')
    desk.submit('1', remote_policy=PREFER)
    assert desk.engine.asked == [0]
    desk.now_s += 1.0
    desk.submit('2', remote_policy=PREFER)
    desk.submit('3', remote_policy=PREFER)
    assert desk.engine.asked == [0, 2]  # one at a time


def test_a_slow_link_is_tried_now_and_then_if_the_own_model_can_follow(
    desk: FakeRemoteDesk,
) -> None:
    desk.submit('slow', budget_s=30.0, remote_policy=ONLY)
    desk.now_s += 9.0
    desk.answer('left')
    desk.submit('soon', budget_s=5.0, remote_policy=PREFER)
    assert desk.remote.link.state is LinkState.SLOW
    desk.dispatcher.cancel('a', 'soon', 'cancelled')
    desk.now_s += 1.0
    desk.submit('tight', budget_s=1.5, remote_policy=PREFER)
    assert desk.engine.asked == [0]
    desk.submit('probe', budget_s=5.0, remote_policy=PREFER)
    assert len(desk.engine.asked) == 2
    desk.submit('another', budget_s=5.0, remote_policy=PREFER)
    assert len(desk.engine.asked) == 2


def test_answers_that_are_cut_off_in_the_middle_make_the_link_slow(desk: FakeRemoteDesk) -> None:
    for number in range(2):
        desk.submit(str(number), budget_s=5.0, remote_policy=PREFER)
        desk.remote.on_text(desk.engine.asked[-1], 'Turn', 1)
        desk.pass_time(5.0)
    assert desk.engine.asked == [0]
    assert desk.remote.link.state is LinkState.SLOW


def test_keep_latest_withdraws_older_remote_queries() -> None:
    desk = FakeRemoteDesk(keep_latest=True)
    desk.submit('old', remote_policy=ONLY)
    desk.submit('new', remote_policy=ONLY)
    assert desk.outcome('old').reason is MissReason.CANCELLED
    desk.submit('newest', remote_policy=ONLY)
    assert list(desk.replies.ended()) == ['old']  # once only, until an answer came
    desk.answer('left')
    desk.remote.on_finished(desk.engine.asked[-2], FinishReason.EOS, Bill(), NOT_KNOWN)
    desk.submit('old again', remote_policy=ONLY)
    desk.submit('new again', remote_policy=ONLY)
    assert desk.outcome('old again').reason is MissReason.CANCELLED


def test_the_own_models_answers_are_not_judged_by_remote_ones(desk: FakeRemoteDesk) -> None:
    desk.submit('q', remote_policy=ONLY, max_new_tokens=10)
    desk.answer(*['left '] * 10)
    assert desk.dispatcher.lengths.answers == 0
    assert desk.dispatcher.lengths.of(Habit('a')) is None
