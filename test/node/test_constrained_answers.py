"""Answers of a given form, from the real node with the real model, asked over DDS."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

import timebill_ros.msg as msg
from support.asker import Asker, NodeProcess, node_and_asker, wait_until

Running = tuple[NodeProcess, Asker]
ACTIONS = ['GO', 'TURN', 'WAIT']
PLACE: dict[str, Any] = {
    'type': 'object',
    'properties': {
        'room': {'enum': ['kitchen', 'hall', 'office']},
        'metres': {'type': 'integer', 'minimum': 0, 'maximum': 99},
    },
    'required': ['room', 'metres'],
    'additionalProperties': False,
}
REPORT = {
    'type': 'object',
    'properties': {'story': {'type': 'string'}, 'done': {'type': 'boolean'}},
    'required': ['story', 'done'],
    'additionalProperties': False,
}


@pytest.fixture(scope='module')
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    log = tmp_path_factory.mktemp('node') / 'log'
    # However busy the machine is, what is closed or cut is so long before its deadline.
    with node_and_asker(log, publish_reserve=5.0) as (node, asker):
        asker.wait_until_serving()
        yield node, asker
        assert 'Traceback' not in log.read_text()


def schema_query(asker: Asker, schema: Any, query_id: str, **fields: Any) -> Any:
    text = schema if isinstance(schema, str) else json.dumps(schema)
    kind = msg.Query.JSON_SCHEMA
    prompt = 'Where is the coffee machine?'
    return asker.query(prompt, id=query_id, constraint_kind=kind, constraint=text, **fields)


def chunks_of(asker: Asker, reply: Any) -> str:
    wait_until(
        lambda: (
            sum(chunk.query_id == reply.query_id for chunk in asker.chunks) == reply.chunk_count
        ),
        5.0,
        'all chunks',
    )
    return written(asker, reply.query_id)


def written(asker: Asker, query_id: str) -> str:
    return ''.join(chunk.text for chunk in list(asker.chunks) if chunk.query_id == query_id)


def test_a_choice_comes_with_its_probabilities(running: Running) -> None:
    _, asker = running
    query = asker.query(
        'The door is closed. What now?',
        id='choice',
        constraint_kind=msg.Query.CHOICES,
        choices=ACTIONS,
    )
    reply = asker.ask(query)
    assert isinstance(reply, msg.Response), reply.detail
    assert reply.text == ACTIONS[reply.choice] == chunks_of(asker, reply)
    assert reply.finish_reason == msg.Response.EOS
    probabilities = list(reply.choice_probabilities)
    assert sum(probabilities) == pytest.approx(1.0, abs=1e-4)
    assert max(probabilities) == probabilities[reply.choice]
    assert (len(probabilities), reply.backend) == (3, 'local')


def test_a_document_obeys_its_schema(running: Running) -> None:
    _, asker = running
    reply = asker.ask(schema_query(asker, PLACE, 'document', max_new_tokens=60))
    assert isinstance(reply, msg.Response), reply.detail
    place = json.loads(reply.text)
    assert place['room'] in PLACE['properties']['room']['enum']
    assert 0 <= place['metres'] <= 99 and len(place) == 2
    assert reply.finish_reason == msg.Response.EOS
    assert reply.model_text_length == len(reply.text.encode())
    assert (list(reply.filled), reply.choice) == ([], -1)
    assert 0.0 < reply.mean_token_probability <= 1.0
    assert 0 < reply.bill.forced_tokens < reply.bill.response_tokens


def test_a_text_matches_its_regular_expression(running: Running) -> None:
    _, asker = running
    kind, expression = msg.Query.REGEX, '[0-9]{2} metres'
    query = asker.query('How far?', id='regex', constraint_kind=kind, constraint=expression)
    reply = asker.ask(query)
    assert isinstance(reply, msg.Response), reply.detail
    assert reply.text[:2].isdecimal() and reply.text[2:] == ' metres'


def test_what_max_new_tokens_cuts_off_is_whole(running: Running) -> None:
    _, asker = running
    query = schema_query(asker, REPORT, 'length', max_new_tokens=8, fill_missing=True)
    reply = asker.ask(query)
    assert isinstance(reply, msg.Response), reply.detail
    assert set(json.loads(reply.text)) == {'story', 'done'}
    if reply.finish_reason == msg.Response.LENGTH:
        assert reply.model_text_length < len(reply.text.encode())


FIELDS = [f'field_{number}' for number in range(60)]
FORM = {
    'type': 'object',
    'properties': {name: {'type': 'string'} for name in FIELDS},
    'required': FIELDS,
    'additionalProperties': False,
}
BAD = {
    'one megabyte': ('"' + 'x' * 10**6 + '"', '65536 bytes'),
    'no JSON': ('{"type": ', 'constraint'),
    'no schema': ('{"type": "nonsense"}', 'constraint'),
    'endless recursion': (
        {
            '$ref': '#/$defs/a',
            '$defs': {
                'a': {
                    'type': 'object',
                    'properties': {'a': {'$ref': '#/$defs/a'}},
                    'required': ['a'],
                }
            },
        },
        'constraint',
    ),
}


@pytest.mark.parametrize('case', BAD)
def test_a_schema_that_cannot_be_used_is_told_and_the_next_query_served(
    running: Running, case: str
) -> None:
    _, asker = running
    schema, words = BAD[case]
    reply = asker.ask(schema_query(asker, schema, case))
    assert reply.reason == msg.DeadlineMiss.INVALID_QUERY, reply
    assert words in reply.detail
    assert '\n' not in reply.detail
    assert isinstance(asker.ask(asker.query(id=f'after {case}')), msg.Response)


def test_an_expression_that_explodes_is_told_and_the_next_query_served(running: Running) -> None:
    _, asker = running
    expression = r'.*(a|e|o).{60}\d'
    kind = msg.Query.REGEX
    query = asker.query(id='explodes', constraint_kind=kind, constraint=expression)
    reply = asker.ask(query)
    assert reply.reason == msg.DeadlineMiss.INVALID_QUERY, reply.detail
    assert reply.detail.startswith('constraint is too complex for'), reply.detail
    assert isinstance(asker.ask(asker.query(id='after the explosion')), msg.Response)


BAD_CHOICES: dict[str, tuple[dict[str, Any], str]] = {
    'none': ({'choices': []}, 'choices must be 1 to 256 strings, got 0'),
    'a thousand': ({'choices': [str(n) for n in range(1000)]}, 'got 1000'),
    'twice': ({'choices': ['GO', 'GO']}, "choices must differ, got 'GO' at 0 and at 1"),
    'control': ({'choices': ['STOP', '<|im_end|>']}, 'choices[1] must not hold'),
    'long': ({'choices': ['STOP', 'go on ' * 200]}, 'choices[1] must have 1 to 128 tokens'),
    'long for the context': (
        {'choices': ['STOP', 'go on ' * 60], 'prompt': 'word ' * 8070},
        'tokens leaves of the context of 8192',
    ),
    'both kinds': ({'choices': ['GO'], 'constraint': 'a+'}, 'exclude each other'),
}


@pytest.mark.parametrize('case', BAD_CHOICES)
def test_choices_that_cannot_be_used_are_told_and_the_next_query_served(
    running: Running, case: str
) -> None:
    _, asker = running
    fields, words = BAD_CHOICES[case]
    reply = asker.ask(asker.query(id=case, constraint_kind=msg.Query.CHOICES, **fields))
    assert reply.reason == msg.DeadlineMiss.INVALID_QUERY, reply.detail
    assert words in reply.detail
    assert '\n' not in reply.detail
    assert isinstance(asker.ask(asker.query(id=f'after {case}')), msg.Response)


@pytest.mark.parametrize('fills', [True, False])
def test_a_worker_that_is_stopped_leaves_a_valid_document_or_none(
    running: Running, fills: bool
) -> None:
    node, asker = running
    asker.wait_until_serving()
    worker, query_id = node.wait_for_worker(), f'stopped, fills {fills}'
    partial = msg.Query.PARTIAL
    query = schema_query(
        asker, FORM, query_id, max_new_tokens=4000, overrun_policy=partial, fill_missing=fills
    )
    query.time_budget.sec = 20
    asker.publisher.publish(query)
    wait_until(lambda: 'field_1' in written(asker, query_id), 60.0, 'the second field')
    worker.suspend()
    asker.wait_for([query_id], 30.0)
    reply = asker.reply_to(query_id)
    assert reply.bill.slack > 0
    if fills:
        assert reply.finish_reason == msg.Response.CLOSED
        assert 0.0 < reply.mean_token_probability <= 1.0
        assert list(json.loads(reply.text)) == FIELDS
        assert reply.filled[-1] == '/field_59' and len(reply.filled) < 60
        assert 0 < reply.model_text_length < len(reply.text.encode())
        assert chunks_of(asker, reply) == reply.text
    else:
        assert reply.reason == msg.DeadlineMiss.KILLED
        assert 'required values without a default are missing: ' in reply.detail
    wait_until(lambda: not worker.is_running(), 10.0, 'the stopped worker to be killed')
