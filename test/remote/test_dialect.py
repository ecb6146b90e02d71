"""What is sent to a server beyond plain completions, and what is left out when it refuses."""

import asyncio
import time
from typing import Any

import pytest

from support.fake_chat_server import Exchange, fake_chat_server, says
from timebill_ros.core.constraint import Constraint, ConstraintKind
from timebill_ros.remote.dialect import Dialect, SchemaField
from timebill_ros.remote.protocol import Ask, Connect, Done, Fault
from timebill_ros.remote.server import Server

SCHEMA = Constraint(ConstraintKind.JSON_SCHEMA, '{"type": "object"}')


def ask(constraint: Constraint | None = None, left_s: float = 60.0) -> Ask:
    return Ask(0, 'Where?', '', '', (), constraint, 32, time.monotonic() + left_s)


def said(url: str, *asks: Ask) -> list[Any]:
    messages: list[Any] = []
    server = Server(Connect(f'{url}/chat/completions', 'big', '', '', 5.0), messages.append)

    async def answer() -> None:
        for one in asks:
            await server.answer(one)

    asyncio.run(answer())
    return [message for message in messages if isinstance(message, Done | Fault)]


def test_an_earlier_deadline_is_a_smaller_priority() -> None:
    soon, late = (Dialect().fields(ask(left_s=left_s))['priority'] for left_s in (1.0, 3.0))
    assert late - soon == pytest.approx(2000, abs=500)
    assert soon == pytest.approx(1000.0 * (time.time() + 1.0), abs=1000)


def test_a_server_that_refuses_priorities_gets_none_from_then_on() -> None:
    def behave(exchange: Exchange) -> None:
        if 'priority' in exchange.body:
            exchange.status(400, '{"message": "Priority scheduling is not enabled."}')
        else:
            says('left')(exchange)

    with fake_chat_server() as server:
        server.behaviour = behave
        assert [type(one) for one in said(server.url, ask(), ask())] == [Done, Done]
        assert ['priority' in request for request in server.requests] == [True, False, False]


@pytest.mark.parametrize('status', [422, 500])
def test_a_server_that_knows_only_json_objects_gets_the_schema_so(status: int) -> None:
    def behave(exchange: Exchange) -> None:
        if exchange.body['response_format']['type'] == 'json_schema':
            exchange.status(status, '[{"loc": ["body", "response_format", "type"]}]')
        else:
            says('{}')(exchange)

    with fake_chat_server() as server:
        server.behaviour = behave
        assert [type(one) for one in said(server.url, ask(SCHEMA), ask(SCHEMA))] == [Done, Done]
        formats = [request['response_format'] for request in server.requests]
    assert [one['type'] for one in formats] == ['json_schema', 'json_object', 'json_object']
    assert formats[1]['schema'] == {'type': 'object'}


def test_a_server_that_takes_no_form_is_asked_plainly_and_its_answer_is_checked() -> None:
    def behave(exchange: Exchange) -> None:
        if 'response_format' in exchange.body:
            exchange.status(400, 'unknown field response_format')
        else:
            says('no document')(exchange)

    with fake_chat_server() as server:
        server.behaviour = behave
        (fault,) = said(server.url, ask(SCHEMA))
        assert 'does not obey the schema' in fault.detail
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    ('status', 'said_so'),
    [(400, 'the prompt is too long'), (500, 'broken'), (429, 'priority'), (401, 'priority')],
)
def test_another_refusal_is_not_asked_again(status: int, said_so: str) -> None:
    with fake_chat_server() as server:
        server.behaviour = lambda exchange: exchange.status(status, said_so)
        (fault,) = said(server.url, ask(SCHEMA))
        assert isinstance(fault, Fault)
        assert len(server.requests) == 1


def test_a_server_that_refuses_everything_is_left_after_each_form() -> None:
    with fake_chat_server() as server:
        server.behaviour = lambda exchange: exchange.status(400, 'priority, response_format')
        (fault,) = said(server.url, ask(SCHEMA))
        assert isinstance(fault, Fault)
        assert len(server.requests) == 4
    assert Dialect(False, SchemaField.NONE).without('response_format', ask(SCHEMA)) is None
