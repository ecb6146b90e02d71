"""Between messages and what the rest of the node knows, without a node."""

from typing import Any

import pytest
from builtin_interfaces.msg import Duration, Time

import timebill_ros.msg as msg
from timebill_ros.core.bill import Bill
from timebill_ros.core.constraint import Constraint, ConstraintKind
from timebill_ros.core.outcome import Answer, Confidence, FinishReason, Miss, MissReason
from timebill_ros.core.query import Query
from timebill_ros.core.turn import Role, Turn
from timebill_ros.node import messages
from timebill_ros.node.messages import Arrival, RefusedError
from timebill_ros.node.settings import NodeSettings

ARRIVAL = Arrival(100.0, lambda: 5.0)


def query_of(**fields: Any) -> Query:
    message = msg.Query(prompt='Left or right?', **fields)
    return messages.query_of(message, messages.origin_of(message, 'q'), NodeSettings(), ARRIVAL)


def reply(outcome: Answer | Miss) -> Any:
    origin = messages.origin_of(msg.Query(), 'q')
    return messages.outcome_message(origin, Time(sec=3), outcome, Bill(), 2)


def test_free_text_has_no_constraint() -> None:
    assert query_of().constraint is None


def test_a_constraint_is_taken_over() -> None:
    choices = query_of(constraint_kind=msg.Query.CHOICES, choices=['LEFT', 'RIGHT'])
    assert choices.constraint == Constraint(ConstraintKind.CHOICES, choices=('LEFT', 'RIGHT'))
    schema = query_of(
        constraint_kind=msg.Query.JSON_SCHEMA, constraint='{"type": "null"}', fill_missing=True
    )
    assert schema.constraint == Constraint(
        ConstraintKind.JSON_SCHEMA, '{"type": "null"}', fill_missing=True
    )


def test_context_and_history_are_taken_over() -> None:
    turns = [msg.Turn(role=msg.Turn.USER, text='Hi'), msg.Turn(role=msg.Turn.ASSISTANT, text='Ho')]
    query = query_of(context='A map.', history=turns)
    assert query.context == 'A map.'
    assert query.history == (Turn(Role.USER, 'Hi'), Turn(Role.ASSISTANT, 'Ho'))
    assert query.texts == ('Left or right?', '', 'A map.', 'Hi', 'Ho')


def test_the_kinds_are_those_of_the_message() -> None:
    for kind in ConstraintKind:
        assert getattr(msg.Query, kind.name) == kind


@pytest.mark.parametrize(
    ('fields', 'sentence'),
    [
        (
            {'constraint': 'a+'},
            'constraint must be empty for constraint_kind NONE (0), got 2 bytes',
        ),
        ({'constraint_kind': 3}, 'choices must be 1 to 256 strings, got 0'),
        (
            {'history': [msg.Turn(role=1, text='Hi'), msg.Turn(role=7, text='Ho')]},
            'history[1].role must be one of USER (1), ASSISTANT (2), got 7',
        ),
        ({'history': [msg.Turn(role=2, text=' ')]}, 'history[0].text must not be empty'),
        ({'asker': 'ü' * 129}, 'asker must be at most 256 bytes, got 258'),
        ({'id': 'x' * 257}, 'id must be at most 256 bytes, got 257'),
        (
            {'context': 'x' * 262145},
            'context must be at most 262144 bytes (max_prompt_bytes), got 262145',
        ),
        (
            {'history': [msg.Turn(role=1, text='x' * 131073)] * 2},
            'history must be at most 262144 bytes (max_prompt_bytes), got 262146',
        ),
        (
            {'remote_policy': 4},
            "remote_policy must be OFF (1) or DEFAULT (0) while the node's parameter "
            "remote_policy is 'off', got ONLY (4)",
        ),
        (
            {'remote_policy': 5},
            'remote_policy must be one of DEFAULT (0), OFF (1), PREFER (2), RACE (3), ONLY (4), '
            'got 5',
        ),
        (
            {'time_budget': Duration(sec=700), 'deadline': Time(sec=1000)},
            'time_budget must be at most 600.000 s (max_time_budget) from the stamp, got '
            '700.000 s',
        ),
        (
            {'deadline': Time(sec=800)},
            'deadline must be at most 600.000 s (max_time_budget) from the stamp, got 700.000 s',
        ),
    ],
)
def test_an_invalid_field_is_an_invalid_query(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RefusedError) as refused:
        query_of(**fields)
    assert refused.value.miss == Miss(MissReason.INVALID_QUERY, sentence)


def test_a_closed_answer_tells_what_the_model_wrote_and_what_was_filled() -> None:
    text, closing = '{"place": "Küche", "n": 0}', ', "n": 0}'
    response = reply(Answer(text, FinishReason.CLOSED, closing=closing, filled=('/n',)))
    assert (response.text, response.finish_reason) == (text, msg.Response.CLOSED)
    assert response.model_text_length == len('{"place": "Küche"'.encode())
    assert list(response.filled) == ['/n']
    assert (response.choice, list(response.choice_probabilities)) == (-1, [])
    assert response.backend == 'local'


def test_a_choice_tells_its_index_and_how_sure_the_model_is() -> None:
    sure = Confidence(1, (0.25, 0.75), 0.875)
    response = reply(Answer('RIGHT', FinishReason.EOS, confidence=sure))
    assert (response.choice, list(response.choice_probabilities)) == (1, [0.25, 0.75])
    assert (response.mean_token_probability, response.model_text_length) == (0.875, 5)
