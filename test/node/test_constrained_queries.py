"""Queries with a constraint, over DDS, through the real node; its worker is scripted."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

import timebill_ros.msg as msg
from support.asker import Asker, wait_until
from support.scripted_node import scripted_node
from support.scripted_worker_client import BEGUN, SURE

BUDGET_S, RESERVE_S = 6.0, 3.0
"""However busy the machine is, a document is closed so long before its deadline."""


@pytest.fixture(scope='module')
def asker() -> Iterator[Asker]:
    with scripted_node(publish_reserve=RESERVE_S) as scripted:
        yield scripted.asker


def document(asker: Asker, query_id: str, **fields: Any) -> Any:
    fields = {'overrun_policy': msg.Query.PARTIAL, 'constraint': '{"type": "object"}', **fields}
    kind = msg.Query.JSON_SCHEMA
    return asker.query('Where?', BUDGET_S, id=query_id, constraint_kind=kind, **fields)


def test_a_choice_comes_with_its_probabilities(asker: Asker) -> None:
    query = asker.query(id='choice', constraint_kind=msg.Query.CHOICES, choices=['GO', 'STOP'])
    reply = asker.ask(query)
    assert (reply.text, reply.choice, list(reply.choice_probabilities)) == ('STOP', 1, list(SURE))
    assert (reply.mean_token_probability, reply.backend) == (0.5, 'local')


def test_a_worker_that_hangs_leaves_a_valid_document_by_the_deadline(asker: Asker) -> None:
    reply = asker.ask(document(asker, 'filled', fill_missing=True))
    assert reply.finish_reason == msg.Response.CLOSED
    assert json.loads(reply.text) == {'room': 'hall', 'story': 'Ä', 'metres': 0}
    assert reply.model_text_length == len(BEGUN.encode())
    assert list(reply.filled) == ['/metres']
    assert reply.deadline_met and reply.bill.slack > 0
    wait_until(
        lambda: sum(chunk.query_id == 'filled' for chunk in asker.chunks) == reply.chunk_count,
        5.0,
        'all chunks',
    )
    assert ''.join(c.text for c in asker.chunks if c.query_id == 'filled') == reply.text


def test_nothing_is_invented_unless_it_is_allowed(asker: Asker) -> None:
    reply = asker.ask(document(asker, 'not filled'))
    assert reply.reason == msg.DeadlineMiss.KILLED
    assert reply.detail.endswith("required values without a default are missing: '/metres'")


SCHEMA = {'constraint_kind': msg.Query.JSON_SCHEMA}
REGEX = {'constraint_kind': msg.Query.REGEX}
CHOICES = {'constraint_kind': msg.Query.CHOICES}
BAD: dict[str, tuple[dict[str, Any], str]] = {
    'a schema of 1 MB': ({**SCHEMA, 'constraint': 'x' * 10**6}, '65536 bytes, got 1000000'),
    'a schema that is none': ({**SCHEMA, 'constraint': '{"type": "nonsense"}'}, 'at /type'),
    'an empty schema': (SCHEMA, 'must not be empty for constraint_kind JSON_SCHEMA (1)'),
    'an expression of 1 MB': ({**REGEX, 'constraint': 'x' * 10**6}, 'at most 65536 bytes'),
    'no choices': (CHOICES, '1 to 256 strings, got 0'),
    'a thousand choices': ({**CHOICES, 'choices': [str(n) for n in range(1000)]}, 'got 1000'),
    'an empty choice': ({**CHOICES, 'choices': ['GO', '']}, "got '' at 1"),
    'the same twice': ({**CHOICES, 'choices': ['GO', 'GO']}, "got 'GO' at 0 and at 1"),
    'both kinds': ({**CHOICES, 'choices': ['GO'], 'constraint': 'a'}, 'exclude each other'),
    'a constraint without a kind': ({'constraint': 'a'}, 'constraint_kind NONE (0), got 1 bytes'),
    'an unknown kind': ({'constraint_kind': 9}, 'CHOICES (3), got 9'),
    'nothing to fill': ({**REGEX, 'constraint': 'a', 'fill_missing': True}, 'REGEX (2), got true'),
}


@pytest.mark.parametrize('case', BAD)
def test_a_bad_constraint_is_told_and_the_next_query_served(asker: Asker, case: str) -> None:
    fields, words = BAD[case]
    reply = asker.ask(asker.query(id=case, **fields))
    assert reply.reason == msg.DeadlineMiss.INVALID_QUERY
    assert words in reply.detail
    assert asker.ask(asker.query(id=f'after {case}')).text == 'Yes.'
