"""Answers that must have a form: how they end, and what is published of them before."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.fake_backend import (
    Faulted,
    Finished,
    Planned,
    Rejected,
    Run,
    Submit,
    Text,
    Tokenised,
)
from support.fake_desk import Desk
from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.constraint import Closing, Constraint, ConstraintKind
from timebill_ros.core.outcome import (
    Answer,
    Confidence,
    FinishReason,
    Miss,
    MissReason,
    OverrunPolicy,
)
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.core.time_model import TimeModel

KILL, SKIP_NEXT, PARTIAL = OverrunPolicy.KILL, OverrunPolicy.SKIP_NEXT, OverrunPolicy.PARTIAL
SCHEMA = Constraint(ConstraintKind.JSON_SCHEMA, '{"type": "object"}')
FILLING = Constraint(ConstraintKind.JSON_SCHEMA, '{"type": "object"}', fill_missing=True)
REGEX = Constraint(ConstraintKind.REGEX, 'a+b')
CHOICES = Constraint(ConstraintKind.CHOICES, choices=('GO', 'STOP'))


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk(max_time_budget_s=60.0)
    yield desk
    desk.dispatcher.shut_down()


def run(
    desk: Desk, constraint: Constraint, policy: OverrunPolicy = PARTIAL, **tokenised: Any
) -> None:
    """Have query number 0 running, with 5 s to go."""
    desk.submit('q', 5.0, policy=policy, constraint=constraint, max_new_tokens=50)
    desk.say(Tokenised(0, 1, **tokenised), Planned(0, Bill(prompt_tokens=1, kept_tokens=1)))


def write(desk: Desk, text: str, *closing: Any) -> None:
    """Write a text at once, and say what closes it."""
    desk.say(Text(0, text, 3, closing=Closing(*closing) if closing else None))


def test_a_constraint_goes_to_the_backend_and_its_refusal_is_an_invalid_query(desk: Desk) -> None:
    desk.submit('q', constraint=SCHEMA)
    submitted = desk.backend.told[0]
    assert isinstance(submitted, Submit)
    assert submitted.constraint is SCHEMA
    desk.say(Rejected(0, 'constraint: no such type at /type'))
    assert desk.outcome('q') == Miss(MissReason.INVALID_QUERY, 'constraint: no such type at /type')
    desk.submit('next')
    desk.say(Tokenised(1, 1), Finished(1, FinishReason.EOS, Bill()))
    assert desk.replies.ended()['next'] is FinishReason.EOS


def test_a_constraint_that_fails_while_it_is_obeyed_is_invalid_and_the_next_query_runs(
    desk: Desk,
) -> None:
    run(desk, REGEX)
    desk.submit('next')
    desk.say(Tokenised(1, 1), Rejected(0, 'constraint is too complex'))
    assert desk.outcome('q') == Miss(MissReason.INVALID_QUERY, 'constraint is too complex')
    assert desk.backend.runs() == [0, 1]
    assert desk.backend.killed == []


def test_what_the_model_had_chosen_when_it_was_cut_off_tells_how_sure_it_was(desk: Desk) -> None:
    run(desk, SCHEMA)
    desk.say(Text(0, '{"x": 1', 3, closing=Closing(7, '}', mean_token_probability=0.75)))
    desk.pass_time(5.0)
    assert desk.outcome('q').confidence == Confidence(mean_token_probability=0.75)


def test_at_the_last_moment_the_text_is_closed_from_its_safe_point(desk: Desk) -> None:
    run(desk, SCHEMA)
    write(desk, '{"x": 1, "y": tr', 7, '}', ('/y',))
    desk.pass_time(4.97)
    assert desk.replies.outcomes == []
    desk.pass_time(0.01)
    answer = desk.outcome('q')
    assert answer == Answer(
        '{"x": 1}', FinishReason.CLOSED, closing='}', filled=('/y',), deadline_met=True
    )
    assert answer.model_text == '{"x": 1'


def test_a_later_text_without_a_closing_leaves_the_last_one(desk: Desk) -> None:
    run(desk, REGEX)
    write(desk, 'aa', 2, 'b')
    write(desk, 'a')
    desk.pass_time(5.0)
    assert desk.outcome('q').text == 'aab'


def test_a_document_that_is_whole_at_the_last_moment_is_left_as_it_is(desk: Desk) -> None:
    run(desk, REGEX)
    write(desk, 'aab', 3, '')
    desk.pass_time(5.0)
    answer = desk.outcome('q')
    assert (answer.text, answer.model_text, answer.finish_reason) == (
        'aab',
        'aab',
        FinishReason.CLOSED,
    )


def test_nothing_is_invented_unless_the_query_allows_it(desk: Desk) -> None:
    run(desk, SCHEMA)
    write(desk, '{', 1, '"x": 0, "y": 0}', ('/x', '/y'), ('/y',))
    desk.pass_time(5.0)
    miss = desk.outcome('q')
    assert miss.reason is MissReason.KILLED
    assert miss.detail.endswith(
        'writing the answer (3 tokens so far): fill_missing is false, and required values without '
        "a default are missing: '/y'"
    )


def test_a_list_that_is_cut_off_ends_with_its_last_whole_element(desk: Desk) -> None:
    run(desk, SCHEMA)
    write(desk, '[{"x": 1}', 9, ']')
    write(desk, ', {"x": 2', 18, ', "y": 0}]', ('/1/y',), ('/1/y',))
    desk.pass_time(5.0)
    answer = desk.outcome('q')
    assert (answer.text, answer.model_text, answer.filled) == ('[{"x": 1}]', '[{"x": 1}', ())
    assert ''.join(text for _, _, text in desk.replies.chunks) == answer.text


def test_a_list_goes_on_if_its_element_becomes_whole_after_all(desk: Desk) -> None:
    run(desk, SCHEMA)
    write(desk, '[{"x": 1}', 9, ']')
    write(desk, ', {"x": 2', 18, ', "y": 0}]', ('/1/y',), ('/1/y',))
    write(desk, ', "y": 3}', 27, ']')
    desk.pass_time(5.0)
    assert desk.outcome('q').text == '[{"x": 1}, {"x": 2, "y": 3}]'


def test_many_missing_values_are_counted(desk: Desk) -> None:
    run(desk, SCHEMA)
    pointers = tuple(f'/{number}' for number in range(8))
    write(desk, '{', 1, '}', pointers, pointers)
    desk.pass_time(5.0)
    assert desk.outcome('q').detail.endswith("'/3', '/4' and 3 more")


def test_what_is_invented_where_the_query_allows_it_is_told(desk: Desk) -> None:
    run(desk, FILLING)
    write(desk, '{', 1, '"x": 0, "y": 0}', ('/x', '/y'), ('/y',))
    desk.pass_time(5.0)
    answer = desk.outcome('q')
    assert (answer.text, answer.filled) == ('{"x": 0, "y": 0}', ('/x', '/y'))
    assert answer.finish_reason is FinishReason.CLOSED


def test_what_nothing_closes_is_killed_and_says_so(desk: Desk) -> None:
    run(desk, REGEX)
    write(desk, 'aa and more words ')
    desk.pass_time(5.0)
    miss = desk.outcome('q')
    assert miss.reason is MissReason.KILLED
    assert miss.detail.endswith('nothing closes it to an answer that the constraint allows')
    assert desk.replies.chunks == []


@pytest.mark.parametrize('policy', [KILL, SKIP_NEXT])
def test_only_partial_closes(desk: Desk, policy: OverrunPolicy) -> None:
    run(desk, SCHEMA, policy)
    write(desk, '{"x": 1', 7, '}')
    desk.pass_time(4.99)
    assert desk.replies.ended() == ({'q': MissReason.KILLED} if policy is KILL else {})


def test_a_worker_that_stops_by_itself_a_moment_before_closes_too(desk: Desk) -> None:
    run(desk, SCHEMA)
    write(desk, '{"x": 1', 7, '}')
    desk.say(Finished(0, None, Bill(total_time=4.9), Confidence(mean_token_probability=0.5)))
    assert desk.outcome('q') == Answer(
        '{"x": 1}',
        FinishReason.CLOSED,
        closing='}',
        confidence=Confidence(mean_token_probability=0.5),
    )


@pytest.mark.parametrize('ends', ['dies', 'faults'])
def test_a_fault_is_no_closed_answer(desk: Desk, ends: str) -> None:
    run(desk, FILLING)
    write(desk, '{"x": 1', 7, '}')
    if ends == 'dies':
        desk.dispatcher.close(Miss(MissReason.ENGINE_FAULT, 'died'))
    else:
        desk.say(Faulted(0, 'out of memory'))
    assert desk.replies.ended() == {'q': MissReason.ENGINE_FAULT}


def test_a_closed_answer_is_never_late(desk: Desk) -> None:
    run(desk, SCHEMA)
    write(desk, '{"x": 1', 7, '}')
    desk.now_s += 5.1  # so busy a machine that the guard was late
    desk.say(Text(0, '', 4))
    assert desk.replies.ended() == {'q': MissReason.KILLED}


def test_an_answer_that_ended_by_itself_passes_as_it_is(desk: Desk) -> None:
    run(desk, SCHEMA)
    write(desk, '{"x": 1}', 7, '}')
    sure = Confidence(mean_token_probability=0.75)
    desk.say(Finished(0, FinishReason.EOS, Bill(), sure))
    assert desk.outcome('q') == Answer('{"x": 1}', FinishReason.EOS, confidence=sure)


@pytest.mark.parametrize('policy', [KILL, SKIP_NEXT, PARTIAL])
def test_an_answer_that_max_new_tokens_cuts_off_is_closed_under_every_policy(
    desk: Desk, policy: OverrunPolicy
) -> None:
    run(desk, SCHEMA, policy)
    write(desk, '{"x": 1', 7, '}')
    desk.say(Finished(0, FinishReason.LENGTH, Bill()))
    assert desk.outcome('q') == Answer('{"x": 1}', FinishReason.LENGTH, closing='}')


def test_what_max_new_tokens_cuts_off_and_nothing_closes_is_killed(desk: Desk) -> None:
    run(desk, SCHEMA, KILL)
    write(desk, '{', 1, '"x": 0}', ('/x',), ('/x',))
    desk.say(Finished(0, FinishReason.LENGTH, Bill()))
    miss = desk.outcome('q')
    assert miss.reason is MissReason.KILLED
    assert miss.detail == (
        'the answer ended after 50 tokens (max_new_tokens): fill_missing is false, and required '
        "values without a default are missing: '/x'"
    )


@pytest.mark.parametrize(
    ('constraint', 'text', 'why'),
    [
        (SCHEMA, 'Go left.', 'the answer is no JSON document: Expecting value'),
        (SCHEMA, '{"x": NaN}', 'the answer is no JSON document: NaN is no JSON'),
        (SCHEMA, '[' * 100_000, 'the answer is no JSON document: '),
        (CHOICES, 'Go left.', 'the answer is none of the choices'),
    ],
)
def test_what_has_not_its_form_is_a_fault_and_never_an_answer(
    desk: Desk, constraint: Constraint, text: str, why: str
) -> None:
    run(desk, constraint, KILL)
    write(desk, text)
    desk.say(Finished(0, FinishReason.EOS, Bill()))
    miss = desk.outcome('q')
    assert miss.reason is MissReason.ENGINE_FAULT
    assert miss.detail.startswith(why)
    assert desk.replies.chunks == []


def test_a_closing_that_makes_no_document_is_a_fault(desk: Desk) -> None:
    run(desk, SCHEMA)
    write(desk, '{"x": ', 6, '}')
    desk.pass_time(5.0)
    assert desk.replies.ended() == {'q': MissReason.ENGINE_FAULT}


# Chunks


def test_chunks_stop_at_safe_points_and_joined_are_the_text(desk: Desk) -> None:
    run(desk, SCHEMA)
    for text, safe in (('{"x": ', 1), ('12', 1), (', "y"', 8), (': fal', 8)):
        desk.now_s += 0.1
        write(desk, text, safe, '"x": 0}' if safe == 1 else '}')
    assert ''.join(text for _, _, text in desk.replies.chunks) == '{"x": 12'
    desk.pass_time(5.0)
    joined = ''.join(text for _, _, text in desk.replies.chunks)
    assert joined == desk.outcome('q').text == '{"x": 12}'


def test_a_closing_from_before_what_is_published_is_not_taken(desk: Desk) -> None:
    run(desk, SCHEMA)
    write(desk, '{"x": 12', 8, '}')
    desk.now_s += 0.1
    write(desk, ', ', 1, '"x": 0}')
    desk.pass_time(5.0)
    joined = ''.join(text for _, _, text in desk.replies.chunks)
    assert joined == desk.outcome('q').text == '{"x": 12}'


# Choices


def test_a_choice_is_the_text_with_its_probabilities(desk: Desk) -> None:
    run(desk, CHOICES, KILL)
    sure = Confidence(1, (0.25, 0.75), 0.5)
    desk.say(Finished(0, FinishReason.EOS, Bill(), sure))
    assert desk.outcome('q') == Answer('STOP', FinishReason.EOS, confidence=sure)
    assert desk.replies.chunks == [('q', 0, 'STOP')]


def test_half_a_choice_is_killed_under_partial(desk: Desk) -> None:
    run(desk, CHOICES)
    write(desk, 'STO', 0, 'STOP')
    desk.pass_time(5.0)
    assert desk.replies.ended() == {'q': MissReason.KILLED}
    assert desk.replies.chunks == []


# The plan


@pytest.mark.parametrize(
    ('constraint', 'longest', 'planned'),
    [(SCHEMA, 0, 50), (SCHEMA, 4, 4), (SCHEMA, 70, 50), (CHOICES, 4, 4), (CHOICES, 70, 70)],
)
def test_what_is_allowed_bounds_what_is_planned_and_choices_take_their_steps(
    desk: Desk, constraint: Constraint, longest: int, planned: int
) -> None:
    run(desk, constraint, max_response_tokens=longest)
    (sent,) = [told for told in desk.backend.told if isinstance(told, Run)]
    assert sent.max_new_tokens == planned


def test_what_is_missing_before_the_first_token_is_told(desk: Desk) -> None:
    run(desk, SCHEMA)
    write(desk, '', 0, '{"x": 0}', ('/x',), ('/x',))
    desk.pass_time(5.0)
    assert desk.outcome('q').detail.endswith("without a default are missing: '/x'")


WRITER = TimeModel(a=0.0, b=0.0, c=0.0, p=0.0, q=0.1, delta=0.1)


def queued(desk: Desk, constraint: Constraint | None, budget_s: float) -> None:
    """Ask behind a query that runs; a token takes 0.1 s, and up to 170 are wanted."""
    desk.dispatcher.change_planner(BudgetPlanner(time_model=WRITER))
    desk.submit('running', 20.0, max_new_tokens=10)
    desk.say(Tokenised(0, 1))
    desk.submit('q', budget_s, constraint=constraint, max_new_tokens=170)


@pytest.mark.parametrize(('constraint', 'is_admitted'), [(None, False), (CHOICES, True)])
def test_a_choice_is_known_to_be_short_by_its_bytes(
    desk: Desk, constraint: Constraint | None, is_admitted: bool
) -> None:
    queued(desk, constraint, 2.5)
    assert ('q' not in desk.replies.ended()) == is_admitted


@pytest.mark.parametrize(('longest', 'is_admitted'), [(0, False), (4, True)])
def test_a_form_is_known_to_be_short_when_it_is_compiled(
    desk: Desk, longest: int, is_admitted: bool
) -> None:
    queued(desk, REGEX, 12.0)
    desk.now_s += 9.0
    desk.say(Tokenised(1, 1, longest))
    assert ('q' not in desk.replies.ended()) == is_admitted


@pytest.mark.parametrize(('constraint', 'planned'), [(SCHEMA, 'off'), (CHOICES, 'expected')])
def test_only_what_may_be_partial_is_planned_so(
    desk: Desk, constraint: Constraint, planned: str
) -> None:
    settings = PlannerSettings(eviction_policy='expected')
    desk.dispatcher.change_planner(BudgetPlanner(settings))
    run(desk, constraint)
    (sent,) = [told for told in desk.backend.told if isinstance(told, Run)]
    assert sent.planner.eviction_policy == planned
