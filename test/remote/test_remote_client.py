"""The remote process against a real HTTP server on loopback, through a network with faults."""

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from benchmark.remote.faulty_proxy import Fault as NetworkFault
from benchmark.remote.faulty_proxy import faulty_proxy
from support import fake_chat_server as fake
from support.asker import wait_until
from support.fake_chat_server import FakeChatServer, fake_chat_server
from timebill_ros.core.constraint import Constraint, ConstraintKind
from timebill_ros.core.deadline import Deadline
from timebill_ros.core.outcome import FinishReason, OverrunPolicy
from timebill_ros.core.query import Origin, Query, QueryKey
from timebill_ros.core.remote_settings import RemoteSettings
from timebill_ros.core.turn import Role, Turn
from timebill_ros.remote.protocol import Done, Fault, Piece
from timebill_ros.remote.remote_client import RemoteClient
from timebill_ros.worker.log_line import LogLine

KEY = 'sk-5ecret-5ecret'


class Listener:
    """Records what is said."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.log: list[LogLine] = []

    def on_remote(self, message: Any) -> None:
        self.said.append(message)

    def on_remote_log(self, line: LogLine) -> None:
        self.log.append(line)


class Remote:
    """A client with its listener."""

    def __init__(self, url: str, **settings: Any) -> None:
        self.listener = Listener()
        self.numbers = iter(range(1000))
        self.client = RemoteClient(
            RemoteSettings(remote_policy='only', remote_url=url, remote_model='big', **settings),
            self.listener,
        )
        self.client.start()
        wait_until(lambda: self.client.pid, 30.0, 'a remote process')

    def ask(self, until_s: float = 60.0, **fields: Any) -> int:
        number = next(self.numbers)
        query = Query(
            Origin(QueryKey('a', str(number))),
            **{'prompt': 'Where now?', 'system_prompt': '', 'max_new_tokens': 32, **fields},
            overrun_policy=OverrunPolicy.KILL,
            asked_at_s=0.0,
            deadline=Deadline(60.0),
        )
        until_s += time.monotonic()
        assert self.client.ask(number, query, query.max_new_tokens, until_s)
        return number

    def end(self, number: int) -> Any:
        """Return the one end of a query."""
        wait_until(lambda: self.ends(number), 30.0, 'an end')
        (end,) = self.ends(number)
        return end

    def ends(self, number: int) -> list[Any]:
        said = [message for message in self.listener.said if message.number == number]
        return [message for message in said if isinstance(message, Done | Fault)]

    def text(self, number: int) -> str:
        said = [message for message in self.listener.said if message.number == number]
        return ''.join(piece.text for piece in said if isinstance(piece, Piece))


@pytest.fixture(scope='module')
def server() -> Iterator[FakeChatServer]:
    with fake_chat_server() as fake_server:
        yield fake_server


@pytest.fixture(scope='module')
def remote(server: FakeChatServer) -> Iterator[Remote]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('ROBOT_KEY', KEY)
        patch.setenv('HTTP_PROXY', 'http://127.0.0.1:9')  # must not be used
        patch.setenv('ALL_PROXY', 'http://127.0.0.1:9')
        remote = Remote(server.url, remote_api_key_env='ROBOT_KEY', remote_timeout_s=60.0)
        yield remote
    remote.client.stop()
    assert not [line for line in remote.listener.log if KEY in line.text]


@pytest.fixture(autouse=True)
def _says_left(server: FakeChatServer) -> None:
    server.behaviour = fake.says('Turn ', 'left', '.')


def test_an_answer_is_whole_and_counted(remote: Remote) -> None:
    number = remote.ask()
    assert remote.end(number) == Done(number, FinishReason.EOS, 7, 4)
    assert remote.text(number) == 'Turn left.'


def test_the_whole_query_is_passed_on(server: FakeChatServer, remote: Remote) -> None:
    remote.end(
        remote.ask(
            system_prompt='Be brief.',
            context='A map.',
            history=(Turn(Role.USER, 'Hello'), Turn(Role.ASSISTANT, 'Hi')),
        )
    )
    assert server.paths[-1] == '/v1/chat/completions'
    assert server.requests[-1]['model'] == 'big'
    assert server.requests[-1]['max_tokens'] == 32
    assert [(turn['role'], turn['content']) for turn in server.requests[-1]['messages']] == [
        ('system', 'Be brief.'),
        ('user', 'Hello'),
        ('assistant', 'Hi'),
        ('user', 'A map.\n\nWhere now?'),
    ]
    assert server.headers[-1]['authorization'] == f'Bearer {KEY}'


def test_an_answer_that_the_server_cut_is_none_that_ended(
    server: FakeChatServer, remote: Remote
) -> None:
    server.behaviour = fake.says('Turn ', finish_reason='length')
    assert remote.end(remote.ask()).finish_reason is FinishReason.LENGTH


@pytest.mark.parametrize(
    ('behaviour', 'detail'),
    [
        (fake.half_a_stream, 'cut before the answer had ended'),
        (fake.garbage, 'out of reach'),
        (fake.no_json, 'no JSON'),
        (fake.not_utf8, 'not UTF-8'),
        (fake.lone_surrogate, 'no part of a chat completion'),
        (fake.error_event, 'broke the answer off'),
        (fake.endless, 'more than'),
        (fake.bomb, 'compressed'),
        (fake.status(429, 'slow down'), '429 Too Many Requests: slow down'),
        (fake.status(500), '500 Internal Server Error'),
        (fake.status(503), '503 Service Unavailable'),
        (fake.status(404, 'no model big'), '404 Not Found: no model big'),
        (fake.status(302, '', Location='http://127.0.0.1:1/'), '302 Found'),
        (fake.says('x', finish_reason='content_filter'), "the reason 'content_filter'"),
    ],
    ids=lambda value: getattr(value, '__name__', None),
)
def test_a_fault_of_the_server_is_one_sentence(
    server: FakeChatServer, remote: Remote, behaviour: fake.Behaviour, detail: str
) -> None:
    server.behaviour = behaviour
    fault = remote.end(remote.ask())
    assert isinstance(fault, Fault)
    assert detail in fault.detail
    assert fault.is_link
    server.behaviour = fake.says('Right.')
    assert isinstance(remote.end(remote.ask()), Done)  # the process has survived it


def test_a_refused_query_says_nothing_of_the_link(server: FakeChatServer, remote: Remote) -> None:
    server.behaviour = fake.status(400, 'too long')
    fault = remote.end(remote.ask())
    assert not fault.is_link
    assert '400 Bad Request: too long' in fault.detail


def test_a_key_that_the_server_sends_back_is_in_no_sentence(
    server: FakeChatServer, remote: Remote
) -> None:
    server.behaviour = fake.status(401, f'Incorrect API key: {KEY}')
    assert remote.end(remote.ask()).detail.endswith('Incorrect API key: ***')


def test_an_aborted_query_stops_the_server_and_is_not_heard_of(
    server: FakeChatServer, remote: Remote
) -> None:
    wait_until(lambda: server.streaming == 0, 10.0, 'an idle server')
    server.behaviour = fake.stalled_stream
    number = remote.ask()
    wait_until(lambda: remote.text(number), 10.0, 'text')
    remote.client.abort(number)
    wait_until(lambda: server.streaming == 0, 10.0, 'the stream closed')
    server.behaviour = fake.says('Right.')
    remote.end(remote.ask())
    assert remote.ends(number) == []


def test_what_was_on_its_way_when_a_query_was_aborted_is_not_heard_of(
    server: FakeChatServer, remote: Remote
) -> None:
    server.behaviour = fake.says(*['x '] * 2000)
    number = remote.ask()
    wait_until(lambda: remote.text(number), 10.0, 'text')
    remote.client.abort(number)
    heard = len(remote.text(number))
    server.behaviour = fake.says('Right.')
    remote.end(remote.ask())
    assert len(remote.text(number)) <= heard + len('x ')  # one may be with the listener
    assert remote.ends(number) == []


def test_the_process_gives_a_query_up_when_its_time_is_over(
    server: FakeChatServer, remote: Remote
) -> None:
    wait_until(lambda: server.streaming == 0, 10.0, 'an idle server')
    server.behaviour = fake.stalled_stream
    number = remote.ask(until_s=0.5)
    wait_until(lambda: remote.text(number), 10.0, 'text')
    wait_until(lambda: server.streaming == 0, 10.0, 'the stream closed')


def test_a_silent_query_holds_no_other(server: FakeChatServer, remote: Remote) -> None:
    server.behaviour = fake.silence
    before = len(server.requests)
    silent = [remote.ask() for _ in range(20)]
    wait_until(lambda: len(server.requests) == before + 20, 30.0, 'silent streams')
    server.behaviour = fake.says('Right.')
    assert isinstance(remote.end(remote.ask()), Done)
    for number in silent:
        remote.client.abort(number)


SCHEMA = Constraint(
    ConstraintKind.JSON_SCHEMA,
    '{"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}',
)
DIGITS = Constraint(ConstraintKind.REGEX, '[0-9]{2}')
SIDES = Constraint(ConstraintKind.CHOICES, choices=('left', 'right'))


@pytest.mark.parametrize(
    ('constraint', 'written', 'text', 'choice'),
    [
        (SCHEMA, '{ "x": 3 }', '{ "x": 3 }', -1),
        (DIGITS, '"42"', '42', -1),
        (DIGITS, '42', '42', -1),
        (SIDES, '"right"', 'right', 1),
        (SIDES, 'left', 'left', 0),
    ],
)
def test_an_answer_of_its_form_is_taken(
    server: FakeChatServer,
    remote: Remote,
    constraint: Constraint,
    written: str,
    text: str,
    choice: int,
) -> None:
    server.behaviour = fake.says(written)
    number = remote.ask(constraint=constraint)
    assert remote.end(number).choice == choice
    assert remote.text(number) == text
    assert server.requests[-1]['response_format']['type'] == 'json_schema'


@pytest.mark.parametrize(
    ('constraint', 'written'),
    [
        (SCHEMA, '{"x": "three"}'),
        (SCHEMA, '{"x": 3'),
        (SCHEMA, 'x is 3'),
        (DIGITS, '"4"'),
        (DIGITS, '423'),
        (SIDES, '"up"'),
    ],
)
def test_an_answer_of_another_form_is_refused_here_again(
    server: FakeChatServer, remote: Remote, constraint: Constraint, written: str
) -> None:
    server.behaviour = fake.says(written)
    number = remote.ask(constraint=constraint)
    fault = remote.end(number)
    assert isinstance(fault, Fault)
    assert not fault.is_link
    assert remote.text(number) == ''


@pytest.mark.parametrize(
    'constraint',
    [
        Constraint(ConstraintKind.JSON_SCHEMA, '{"type": '),
        Constraint(ConstraintKind.REGEX, '(['),
    ],
)
def test_a_constraint_that_is_none_is_not_sent(
    server: FakeChatServer, remote: Remote, constraint: Constraint
) -> None:
    before = len(server.requests)
    fault = remote.end(remote.ask(constraint=constraint))
    assert 'constraint cannot be used' in fault.detail
    assert len(server.requests) == before


@pytest.mark.parametrize(
    ('network', 'detail'),
    [
        (NetworkFault(cut_after=400), ''),
        (NetworkFault(stall_after=0), 'was silent for 0.500 s'),
        (NetworkFault(stall_after=300), 'was silent for 0.500 s'),
        (NetworkFault(garbage_after=0), 'out of reach'),
        (NetworkFault(garbage_after=300), ''),
    ],
)
def test_a_fault_of_the_network_is_one_sentence(
    server: FakeChatServer, network: NetworkFault, detail: str
) -> None:
    server.behaviour = fake.says(*['Turn left. '] * 20, pause_s=0.01)
    with faulty_proxy(server.port) as proxy:
        remote = Remote(proxy.url, remote_timeout_s=0.5)
        try:
            proxy.fault = network
            fault = remote.end(remote.ask())
            assert isinstance(fault, Fault)
            assert detail in fault.detail
            assert fault.is_link
            proxy.fault = NetworkFault(delay_s=0.001)
            assert isinstance(remote.end(remote.ask()), Done)
        finally:
            remote.client.stop()


def _closed_port() -> str:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        return f'http://127.0.0.1:{listener.getsockname()[1]}/v1'


@pytest.mark.parametrize(
    'url', [_closed_port, lambda: 'http://no-such-name.invalid/v1'], ids=['refused', 'no name']
)
def test_a_server_that_is_not_there_is_one_sentence(url: Callable[[], str]) -> None:
    remote = Remote(url())
    try:
        fault = remote.end(remote.ask())
        assert fault.detail.startswith('the remote engine is out of reach: ConnectError: ')
        assert fault.is_link
    finally:
        remote.client.stop()


def test_a_process_that_dies_ends_its_queries_and_is_replaced(server: FakeChatServer) -> None:
    remote = Remote(server.url)
    try:
        server.behaviour = fake.silence
        number, pid = remote.ask(), remote.client.pid
        psutil.Process(pid).kill()
        assert 'the remote process ended' in remote.end(number).detail
        wait_until(lambda: remote.client.pid not in (None, pid), 30.0, 'another process')
        server.behaviour = fake.says('Right.')
        assert isinstance(remote.end(remote.ask()), Done)
    finally:
        remote.client.stop()
    assert remote.client.pid is None
