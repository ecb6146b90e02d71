"""What becomes of queries at their last moment, by overrun policy."""

import dataclasses
from collections.abc import Iterator

import pytest

from support.fake_backend import Drop, Faulted, Finished, Planned, Run, Text, Tokenised
from support.fake_desk import Desk
from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.outcome import Answer, FinishReason, Miss, MissReason, OverrunPolicy
from timebill_ros.core.planner_settings import EvictionPolicy, PlannerSettings

KILL, SKIP_NEXT, PARTIAL = OverrunPolicy.KILL, OverrunPolicy.SKIP_NEXT, OverrunPolicy.PARTIAL
EOS = FinishReason.EOS


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk(max_time_budget_s=60.0, abort_grace_s=1.0)
    yield desk
    desk.dispatcher.shut_down()


def run(desk: Desk, query_id: str, policy: OverrunPolicy, budget_s: float = 5.0) -> None:
    """Have query number 0 running, with some text."""
    desk.submit(query_id, budget_s, policy=policy)
    desk.say(Tokenised(0, 1), Planned(0, Bill(prompt_tokens=1, kept_tokens=1)))


# PARTIAL


@pytest.mark.parametrize(
    ('eviction', 'overrun', 'planned'),
    [
        ('expected', PARTIAL, 'off'),
        ('expected', KILL, 'expected'),
        ('expected', SKIP_NEXT, 'expected'),
        ('closed_loop', PARTIAL, 'off'),
        ('closed_loop', SKIP_NEXT, 'closed_loop'),
        ('timebill', PARTIAL, 'timebill'),
        ('fixed', PARTIAL, 'fixed'),
    ],
)
def test_policies_of_the_largest_worth_evict_nothing_where_no_text_is_lost(
    desk: Desk, eviction: EvictionPolicy, overrun: OverrunPolicy, planned: EvictionPolicy
) -> None:
    settings = PlannerSettings(eviction_policy=eviction)
    desk.dispatcher.change_planner(BudgetPlanner(settings))
    run(desk, 'q', overrun)
    (sent,) = [message for message in desk.backend.told if isinstance(message, Run)]
    assert sent.planner == dataclasses.replace(settings, eviction_policy=planned)


def test_partial_gives_the_whole_words_so_far_at_the_last_moment(desk: Desk) -> None:
    run(desk, 'q', PARTIAL)
    desk.say(Text(0, 'Go to the', 3), Text(0, ' kit', 4))
    desk.pass_time(4.97)
    assert desk.replies.outcomes == []
    desk.pass_time(0.01)
    ((_, answer, bill, chunk_count),) = desk.replies.outcomes
    assert answer == Answer('Go to the', FinishReason.DEADLINE, deadline_met=True)
    assert bill.slack == pytest.approx(0.02)
    assert chunk_count == len(desk.replies.chunks)
    assert desk.backend.told[-1] == Drop(0)


def test_chunks_of_a_partial_answer_joined_are_its_text(desk: Desk) -> None:
    run(desk, 'q', PARTIAL)
    for piece in ('Go', ' to', ' the', ' kit', 'chen', ' and', ' op'):
        desk.now_s += 0.1
        desk.say(Text(0, piece, 1))
    desk.pass_time(5.0)
    joined = ''.join(text for _, _, text in desk.replies.chunks)
    assert joined == desk.outcome('q').text == 'Go to the kitchen and'


@pytest.mark.parametrize('pieces', [[], ['Unfinish'], [' \n']])
def test_partial_without_a_whole_word_is_killed(desk: Desk, pieces: list[str]) -> None:
    run(desk, 'q', PARTIAL)
    desk.say(*(Text(0, piece, 1) for piece in pieces))
    desk.pass_time(5.0)
    assert desk.replies.ended() == {'q': MissReason.KILLED}


def test_partial_that_still_thinks_is_killed_and_says_so(desk: Desk) -> None:
    run(desk, 'q', PARTIAL)
    desk.say(*(Text(0, '', tokens, tokens) for tokens in (1, 2, 3)))
    desk.pass_time(5.0)
    miss = desk.outcome('q')
    assert miss.reason is MissReason.KILLED
    assert miss.detail.endswith('ran out while still thinking (3 tokens so far)')
    ((_, _, bill, _),) = desk.replies.outcomes
    assert (bill.thinking_tokens, bill.response_tokens) == (3, 3)


def test_partial_gives_what_is_written_after_the_thinking(desk: Desk) -> None:
    run(desk, 'q', PARTIAL)
    desk.say(Text(0, '', 2, 2), Text(0, 'Go to', 3, 2))
    desk.pass_time(5.0)
    assert desk.outcome('q') == Answer('Go', FinishReason.DEADLINE)
    assert desk.replies.outcomes[0][2].thinking_tokens == 2


def test_a_query_that_is_cut_off_after_its_thinking_was_writing(desk: Desk) -> None:
    run(desk, 'q', KILL)
    desk.say(Text(0, '', 2, 2), Text(0, 'Go to', 3, 2))
    desk.pass_time(5.0)
    assert desk.outcome('q').detail.endswith('while writing the answer (3 tokens so far)')


def test_partial_is_an_answer_also_when_the_worker_stops_a_moment_before(desk: Desk) -> None:
    run(desk, 'q', PARTIAL)
    desk.say(Text(0, 'Go to', 2), Finished(0, None, Bill(prompt_tokens=1, total_time=4.9)))
    assert desk.outcome('q') == Answer('Go', FinishReason.DEADLINE)


def test_partial_that_waits_is_killed(desk: Desk) -> None:
    run(desk, 'running', KILL, 50.0)
    desk.submit('waiting', 5.0, policy=PARTIAL)
    desk.pass_time(5.0)
    assert desk.replies.ended() == {'waiting': MissReason.KILLED}


def test_a_fault_of_the_worker_is_no_partial_answer(desk: Desk) -> None:
    run(desk, 'q', PARTIAL)
    desk.say(Text(0, 'Go to the', 3), Faulted(0, 'out of memory'))
    assert desk.replies.ended() == {'q': MissReason.ENGINE_FAULT}


def test_a_lost_worker_is_an_engine_fault_at_once_under_every_policy(desk: Desk) -> None:
    for number, policy in enumerate((PARTIAL, SKIP_NEXT, KILL)):
        desk.submit(policy.name, 5.0, policy=policy)
        desk.say(Tokenised(number, 1))
    desk.say(Text(0, 'Go to the', 3))
    desk.dispatcher.close(Miss(MissReason.ENGINE_FAULT, 'died'))
    assert set(desk.replies.ended().values()) == {MissReason.ENGINE_FAULT}


# SKIP_NEXT


def test_skip_next_may_be_late_and_says_so(desk: Desk) -> None:
    run(desk, 'q', SKIP_NEXT)
    desk.pass_time(7.0)
    assert desk.replies.outcomes == []
    desk.say(Text(0, 'At last', 2), Finished(0, EOS, Bill(total_time=7.0)))
    assert desk.outcome('q') == Answer('At last', EOS, deadline_met=False)
    assert desk.replies.outcomes[0][2].slack == pytest.approx(-2.0)
    assert Drop(0) not in desk.backend.told


def test_skip_next_in_time_is_as_any_answer(desk: Desk) -> None:
    run(desk, 'q', SKIP_NEXT)
    desk.pass_time(4.0)
    desk.say(Text(0, 'Yes', 1), Finished(0, EOS, Bill()))
    assert desk.outcome('q') == Answer('Yes', EOS, deadline_met=True)


def test_the_worker_plans_for_the_deadline_of_skip_next_and_may_go_on_after_it(desk: Desk) -> None:
    run(desk, 'q', SKIP_NEXT)
    (message,) = [message for message in desk.backend.told if isinstance(message, Run)]
    assert (message.last_moment_s, message.stop_at_s) == pytest.approx((1004.98, 1060.0))


def test_what_waits_or_comes_while_skip_next_is_late_is_skipped_at_once(desk: Desk) -> None:
    run(desk, 'late', SKIP_NEXT)
    for query_id in ('waiting', 'too'):
        desk.submit(query_id, 50.0)
    desk.pass_time(4.9)
    assert desk.replies.outcomes == []
    desk.pass_time(0.1)
    desk.submit('newcomer', 50.0)
    skipped = ('waiting', 'too', 'newcomer')
    assert desk.replies.ended() == dict.fromkeys(skipped, MissReason.SKIPPED)
    assert "'late' of asker 'a'" in desk.outcome('newcomer').detail
    desk.say(Finished(0, EOS, Bill()))
    desk.submit('next', 50.0)
    desk.say(Tokenised(3, 1), Finished(3, EOS, Bill()))
    assert desk.replies.ended()['next'] is EOS


def test_skip_next_that_waits_at_its_deadline_is_killed_and_skips_nobody(desk: Desk) -> None:
    run(desk, 'running', KILL, 50.0)
    desk.submit('waiting', 5.0, policy=SKIP_NEXT)
    desk.submit('other', 50.0)
    desk.pass_time(6.0)
    assert desk.replies.ended() == {'waiting': MissReason.KILLED}


def test_skip_next_ends_at_the_largest_time_budget(desk: Desk) -> None:
    run(desk, 'q', SKIP_NEXT)
    for _ in range(11):
        desk.pass_time(5.0)
        desk.say(Text(0, 'on ', 1))
    assert desk.replies.outcomes == []
    desk.pass_time(5.0)
    miss = desk.outcome('q')
    assert miss.reason is MissReason.KILLED
    assert '60.000 s after it was asked' in miss.detail
    assert desk.backend.told[-1] == Drop(0)
    assert not desk.backend.killed


def test_skip_next_whose_worker_is_silent_is_an_engine_fault_and_the_worker_replaced(
    desk: Desk,
) -> None:
    run(desk, 'q', SKIP_NEXT)
    desk.pass_time(4.0)
    desk.say(Text(0, 'a', 1))
    desk.pass_time(4.0)
    desk.say(Text(0, 'b', 2))
    desk.pass_time(9.9)
    assert desk.replies.outcomes == []
    desk.pass_time(0.2)  # 10 s, 10 times abort_grace
    miss = desk.outcome('q')
    assert miss.reason is MissReason.ENGINE_FAULT
    assert 'no sign of life for 10.000 s' in miss.detail
    assert desk.backend.killed == [miss.detail]


def test_a_late_query_that_is_cancelled_makes_room(desk: Desk) -> None:
    run(desk, 'late', SKIP_NEXT)
    desk.pass_time(5.5)
    assert desk.dispatcher.cancel('a', 'late', 'withdrawn') == 1
    desk.submit('next', 50.0)
    desk.say(Tokenised(1, 1))
    assert desk.backend.runs() == [0]
    desk.say(Finished(0, None, Bill()))
    assert desk.backend.runs() == [0, 1]
    desk.pass_time(30.0)
    assert desk.replies.ended() == {'late': MissReason.CANCELLED}
