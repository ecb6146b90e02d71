"""The asker's client, against a stand-in for the node."""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import (
    Executor,
    ExternalShutdownException,
    MultiThreadedExecutor,
    SingleThreadedExecutor,
)
from rclpy.node import Node

import timebill_ros.msg as msg
from support.asker import wait_until
from support.fake_timebill_node import FakeTimebillNode
from support.ros_domain import next_domain
from timebill_ros.client import Reply, ReplyFuture, TimeBillClient, handshake, pending_question
from timebill_ros.srv import CancelQuery

LONG_S = 60.0  # a budget that no test waits for


@dataclasses.dataclass
class Going:
    metres: float


class AskerSide:
    """An asker's node, spun in a thread by an executor of a kind."""

    def __init__(
        self,
        domain: int,
        executor_type: type[Executor] = SingleThreadedExecutor,
        name: str = 'asker',
    ) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = Node(name, context=self.context)
        self.executor = executor_type(context=self.context)
        self.executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._clients: list[TimeBillClient] = []

    def client(self, **arguments: Any) -> TimeBillClient:
        self._clients.append(TimeBillClient(self.node, **arguments))
        return self._clients[-1]

    def spin(self) -> 'AskerSide':
        self._thread.start()
        return self

    def wait_for_cancel(self) -> None:
        client = self.node.create_client(CancelQuery, '/timebill/cancel')
        assert client.wait_for_service(20.0)
        self.node.destroy_client(client)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.executor.shutdown(timeout_sec=1.0)
        if self._thread.ident is not None:
            self._thread.join(timeout=2.0)
        self.node.destroy_node()
        if self.context.ok():
            rclpy.shutdown(context=self.context)

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self.executor.spin()


@pytest.fixture
def domain() -> int:
    return next_domain()


@pytest.fixture
def asker(domain: int) -> Iterator[AskerSide]:
    side = AskerSide(domain)
    yield side
    side.close()


@pytest.fixture
def start_server(domain: int) -> Iterator[Callable[..., FakeTimebillNode]]:
    servers: list[FakeTimebillNode] = []

    def start(
        on_query: Callable[..., None] = FakeTimebillNode.answer, **arguments: Any
    ) -> FakeTimebillNode:
        servers.append(FakeTimebillNode(domain, on_query, **arguments))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


Start = Callable[..., FakeTimebillNode]


def hang(server: FakeTimebillNode, query: msg.Query) -> None:
    """Reply nothing, except that it is there."""
    if query.prompt == 'Connected?':
        server.answer(query)


def resolved(future: ReplyFuture, timeout_s: float = 20.0) -> Reply:
    wait_until(future.done, timeout_s, 'the reply')
    reply = future.result()
    assert isinstance(reply, Reply)
    return reply


def test_an_answer_comes_as_a_reply(asker: AskerSide, start_server: Start) -> None:
    start_server()
    reply = resolved(asker.spin().client().ask('What is that?', LONG_S))
    assert (reply.answered, reply.in_time, reply.is_local) == (True, True, False)
    assert reply.text == 'What is that?'
    assert (reply.reason, reply.detail, reply.minimum_time_budget) == ('', '', 0.0)


def test_a_miss_comes_as_a_reply(asker: AskerSide, start_server: Start) -> None:
    def refuse(server: FakeTimebillNode, query: msg.Query) -> None:
        miss = msg.DeadlineMiss(reason=msg.DeadlineMiss.INFEASIBLE, detail='too tight')
        miss.minimum_time_budget.sec, miss.minimum_time_budget.nanosec = 2, 500_000_000
        server.publish(
            msg.DeadlineMiss,
            query,
            reason=miss.reason,
            detail=miss.detail,
            minimum_time_budget=miss.minimum_time_budget,
        )

    start_server(refuse)
    reply = resolved(asker.spin().client().ask('What is that?', LONG_S))
    assert (reply.answered, reply.in_time, reply.is_local, reply.text) == (False, False, False, '')
    assert (reply.reason, reply.detail) == ('INFEASIBLE', 'too tight')
    assert reply.minimum_time_budget == pytest.approx(2.5)


def test_a_question_is_sent_as_asked(asker: AskerSide, start_server: Start) -> None:
    server = start_server()
    before_s = time.time()
    client = asker.spin().client()
    future = client.ask(
        'Where?',
        12.25,
        system_prompt='Be brief.',
        context='A map.',
        history=[('user', 'Hi'), ('assistant', 'Ho')],
        max_new_tokens=7,
        overrun_policy=3,
        remote_policy=1,
    )
    resolved(future)
    (query,) = server.queries
    assert (query.prompt, query.system_prompt) == ('Where?', 'Be brief.')
    assert query.context == 'A map.'
    assert query.history == [msg.Turn(role=1, text='Hi'), msg.Turn(role=2, text='Ho')]
    assert (query.max_new_tokens, query.overrun_policy) == (7, msg.Query.PARTIAL)
    assert query.remote_policy == msg.Query.OFF
    assert (query.time_budget.sec, query.time_budget.nanosec) == (12, 250_000_000)
    assert (query.asker, query.id) == ('/asker', future.query_id)
    assert before_s <= query.header.stamp.sec + query.header.stamp.nanosec * 1e-9 <= time.time()
    assert (query.deadline.sec, query.deadline.nanosec) == (0, 0)


def test_a_constrained_question_is_sent_and_its_answer_read(
    asker: AskerSide, start_server: Start
) -> None:
    def answer(server: FakeTimebillNode, query: msg.Query) -> None:
        if query.constraint_kind == msg.Query.CHOICES:
            server.publish(msg.Response, query, text=query.choices[1], choice=1)
        elif query.constraint_kind == msg.Query.JSON_SCHEMA:
            server.publish(msg.Response, query, text='{"metres": 2.5}')
        else:
            server.publish(msg.DeadlineMiss, query, reason=msg.DeadlineMiss.KILLED)

    server = start_server(answer)
    client = asker.spin().client()
    chosen = resolved(client.ask('Which way?', LONG_S, choices=['LEFT', 'RIGHT']))
    assert (chosen.text, chosen.choice, chosen.parsed) == ('RIGHT', 1, None)
    going = resolved(client.ask('How far?', LONG_S, json_schema=Going, fill_missing=True))
    assert (going.parsed, going.choice) == (Going(2.5), -1)
    missed = resolved(client.ask('How far?', LONG_S, regex='[0-9]+'))
    assert (missed.parsed, missed.choice, missed.answered) == (None, -1, False)
    choices, schema, regex = server.queries
    assert list(choices.choices) == ['LEFT', 'RIGHT']
    assert (schema.fill_missing, '"metres"' in schema.constraint) == (True, True)
    assert (regex.constraint_kind, regex.constraint) == (msg.Query.REGEX, '[0-9]+')


def test_a_question_waits_for_the_node_while_its_budget_runs(
    asker: AskerSide, start_server: Start
) -> None:
    ticks: list[float] = []
    asker.node.create_timer(0.05, lambda: ticks.append(time.monotonic()))
    client = asker.spin().client()
    asked_s = time.time()
    future = client.ask('Are you there?', LONG_S)
    wait_until(lambda: len(ticks) > 5, 20.0, 'the executor to go on meanwhile')
    came_s = time.time()
    server = start_server()
    assert resolved(future).text == 'Are you there?'
    stamp = server.queries[0].header.stamp
    assert asked_s <= stamp.sec + stamp.nanosec * 1e-9 < came_s


def test_a_recorder_is_not_taken_for_the_node(asker: AskerSide, domain: int) -> None:
    with contextlib.ExitStack() as ended:
        recorder = AskerSide(domain, name='recorder')
        ended.callback(recorder.close)
        recorder.node.create_subscription(msg.Query, '/timebill/query', print, 10)
        player = AskerSide(domain, name='player')
        ended.callback(player.close)
        player.node.create_publisher(msg.DeadlineMiss, '/timebill/deadline_miss', 10)
        client = asker.spin().client()
        publisher = client._connection._publisher
        wait_until(lambda: publisher.get_subscription_count() > 0, 20.0, 'the recorder')
        reply = resolved(client.ask('Who is there?', 0.5))
        assert (reply.reason, reply.is_local) == ('NOT_READY', True)


def test_without_a_node_the_miss_comes_at_the_deadline(asker: AskerSide) -> None:
    client = asker.spin().client()
    start_s = time.monotonic()
    reply = resolved(client.ask('Is anybody there?', 0.5))
    assert time.monotonic() - start_s >= 0.5
    assert (reply.reason, reply.is_local) == ('NOT_READY', True)
    assert '/timebill/query' in reply.detail
    assert reply.message.bill.time_budget == pytest.approx(0.5)


@pytest.mark.parametrize('dies', [False, True], ids=['hangs', 'dies'])
def test_of_a_node_that_never_replies_the_miss_comes_after_the_deadline(
    domain: int, asker: AskerSide, dies: bool
) -> None:
    server = FakeTimebillNode(domain, hang)
    client = asker.spin().client()
    resolved(client.ask('Connected?', LONG_S))
    start_s = time.monotonic()
    future = client.ask('Hello?', 2.0)
    wait_until(lambda: len(server.queries) == 2, 20.0, 'the query')
    if dies:
        server.close()
    reply = resolved(future)
    assert time.monotonic() - start_s >= 2.0
    assert (reply.is_local, reply.reason) == (True, 'KILLED')
    assert 'after the deadline' in reply.detail
    if not dies:
        server.close()


def test_a_late_answer_is_awaited_under_skip_next_only(
    asker: AskerSide, start_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_question, 'GRACE_S', 0.1)
    server = start_server(hang)
    client = asker.spin().client()
    resolved(client.ask('Connected?', LONG_S))
    skip_next = client.ask('Slow', 0.5, overrun_policy=msg.Query.SKIP_NEXT)
    kill = client.ask('Slow', 0.5, overrun_policy=msg.Query.KILL)
    assert resolved(kill).is_local
    query = next(query for query in server.queries if query.id == skip_next.query_id)
    server.publish(msg.Response, query, text='late', deadline_met=False)
    reply = resolved(skip_next)
    assert (reply.text, reply.answered, reply.in_time) == ('late', True, False)


def test_the_first_reply_stands(asker: AskerSide, start_server: Start) -> None:
    def answer_twice(server: FakeTimebillNode, query: msg.Query) -> None:
        server.publish(msg.Response, query, text='first')
        server.publish(msg.Response, query, text='second')

    start_server(answer_twice)
    client = asker.spin().client()
    first = client.ask('Once?', LONG_S)
    resolved(first)
    resolved(client.ask('And then?', LONG_S))
    assert first.result().text == 'first'


def test_clients_of_the_same_name_get_their_own_replies(
    domain: int, asker: AskerSide, start_server: Start
) -> None:
    server = start_server()
    another = AskerSide(domain).spin()
    clients = [asker.spin().client(), asker.client(), another.client()]
    futures = [client.ask(f'{number}', LONG_S) for number, client in enumerate(clients * 5)]
    assert [resolved(future).text for future in futures] == [f'{number}' for number in range(15)]
    assert {query.asker for query in server.queries} == {'/asker'}
    assert len({query.id for query in server.queries}) == 15
    another.close()


def test_chunks_come_in_order_before_the_reply(asker: AskerSide, start_server: Start) -> None:
    pieces = [f'{number} ' for number in range(20)]
    seen: list[str] = []

    def write(server: FakeTimebillNode, query: msg.Query) -> None:
        for sequence, piece in enumerate(pieces):
            server.publish(msg.ResponseChunk, query, sequence=sequence, text=piece)
        # Across topics DDS keeps no order: the reply comes when the chunks have been heard.
        wait_until(lambda: len(seen) == 20 or query.prompt == 'Unheard', 20.0, 'the chunks')
        server.answer(query)

    start_server(write)
    client = asker.spin().client()
    resolved(client.ask('Count', LONG_S, on_chunk=seen.append))
    assert seen == pieces
    resolved(client.ask('Unheard', LONG_S))
    assert seen == pieces


@pytest.mark.parametrize(
    ('published', 'text', 'heard'),
    [
        (['Go ', 'to '], 'Go to the door', ['Go ', 'to ', 'the door']),
        ([], 'Go', ['Go']),
        (['Go'], 'Go', ['Go']),
        (['to '], 'Go to the door', ['to ']),  # the first one was lost
    ],
)
def test_what_is_left_of_an_answer_is_heard_before_the_future_resolves(
    asker: AskerSide, start_server: Start, published: list[str], text: str, heard: list[str]
) -> None:
    seen: list[str] = []
    at_the_end: list[list[str]] = []

    def write(server: FakeTimebillNode, query: msg.Query) -> None:
        for sequence, piece in enumerate(published):
            server.publish(msg.ResponseChunk, query, sequence=sequence, text=piece)
        wait_until(lambda: seen == published, 20.0, 'the chunks')
        server.publish(msg.Response, query, text=text)

    start_server(write)
    future = asker.spin().client().ask('Where?', LONG_S, on_chunk=seen.append)
    future.add_done_callback(lambda _: at_the_end.append(seen.copy()))
    wait_until(lambda: bool(at_the_end), 20.0, 'the end')
    assert at_the_end == [heard]


def test_the_future_resolves_although_the_askers_callback_raises(
    asker: AskerSide, start_server: Start
) -> None:
    def fail(piece: str) -> None:
        raise ValueError(piece)

    start_server()
    future = asker.client().ask('Go', LONG_S, on_chunk=fail)
    with pytest.raises(ValueError, match='Go'):
        asker.executor.spin_until_future_complete(future, timeout_sec=20.0)
    assert resolved(future).text == 'Go'


def test_a_miss_has_no_last_piece(asker: AskerSide, start_server: Start) -> None:
    seen: list[str] = []
    start_server(lambda server, query: server.publish(msg.DeadlineMiss, query, detail='no'))
    resolved(asker.spin().client().ask('Where?', LONG_S, on_chunk=seen.append))
    assert seen == []


INVALID = {
    'no prompt': ({'prompt': ' \n'}, r"prompt must not be empty, got ' \\n'"),
    'half a character': (
        {'prompt': 'a\ud800'},
        r"prompt must be Unicode text, got '\\ud800' at 1",
    ),
    'no budget': ({'time_budget': 0.0}, r'time_budget must be in \(0, 2147483647\] s, got 0.0'),
    'negative budget': ({'time_budget': -1.5}, 'time_budget .* got -1.5'),
    'budget that is no number': ({'time_budget': float('nan')}, 'time_budget .* got nan'),
    'endless budget': ({'time_budget': float('inf')}, 'time_budget .* got inf'),
    'negative length': ({'max_new_tokens': -1}, r'max_new_tokens must be in \[0, .* got -1'),
    'two forms': ({'choices': ['a'], 'regex': 'a'}, 'only one of json_schema, regex and choices'),
    'unknown role': (
        {'history': [('user', 'Hi'), ('robot', 'Ho')]},
        r"history\[1\] must be \('user', text\) .* got \('robot', 'Ho'\)",
    ),
    'half a character in the context': ({'context': '\ud800'}, 'context must be Unicode text'),
    'unknown policy': ({'overrun_policy': 9}, 'overrun_policy must be one of .* got 9'),
    'unknown remote policy': ({'remote_policy': 5}, 'remote_policy must be one of .* got 5'),
}


@pytest.mark.parametrize('case', INVALID)
def test_what_cannot_be_asked_is_refused_with_its_bound(asker: AskerSide, case: str) -> None:
    arguments, sentence = INVALID[case]
    with pytest.raises(ValueError, match=sentence):
        asker.client().ask(**{'prompt': 'What?', 'time_budget': 1.0, **arguments})


@pytest.mark.parametrize('budget_s', [1e-12, 0.1, 1.0000000009, 2147483647.0])
def test_a_budget_is_never_sent_as_unset(
    asker: AskerSide, start_server: Start, budget_s: float
) -> None:
    server = start_server()
    client = asker.spin().client()
    resolved(client.ask('Connected?', LONG_S))
    client.ask('How long?', budget_s)
    wait_until(lambda: len(server.queries) == 2, 20.0, 'the query')
    budget = server.queries[1].time_budget
    assert (budget.sec, budget.nanosec) > (0, 0)
    assert budget.sec + budget.nanosec * 1e-9 == pytest.approx(budget_s, abs=1e-9)


def test_a_callback_asks_and_its_done_callback_asks_again_in_the_executor(
    asker: AskerSide, start_server: Start
) -> None:
    start_server()
    client = asker.client()
    replies: list[str] = []
    threads: set[str] = set()

    def on_done(future: ReplyFuture) -> None:
        threads.add(threading.current_thread().name)
        replies.append(future.result().text)
        if len(replies) < 3:
            client.ask(f'{len(replies)}', LONG_S).add_done_callback(on_done)

    def ask_once() -> None:
        timer.cancel()
        client.ask('0', LONG_S).add_done_callback(on_done)

    timer = asker.node.create_timer(0.01, ask_once)
    asker.spin()
    wait_until(lambda: len(replies) == 3, 20.0, 'three replies')
    assert replies == ['0', '1', '2']
    assert threads == {asker._thread.name}


@pytest.mark.parametrize('executor_type', [SingleThreadedExecutor, MultiThreadedExecutor])
def test_a_coroutine_awaits_replies_and_misses(
    domain: int, start_server: Start, executor_type: type[Executor]
) -> None:
    start_server(hang)
    asker = AskerSide(domain, executor_type)
    client = asker.client()
    reasons: list[str] = []

    async def ask_twice() -> None:
        timer.cancel()
        reasons.append((await client.ask('Connected?', LONG_S)).reason)
        reasons.append((await client.ask('Silence', 0.3)).reason)

    timer = asker.node.create_timer(0.01, ask_twice)
    asker.spin()
    wait_until(lambda: len(reasons) == 2, 20.0, 'two replies')
    assert reasons == ['', 'KILLED']
    asker.close()


def test_a_coroutine_is_woken_by_a_miss_that_comes_of_silence(asker: AskerSide) -> None:
    client = asker.client()
    replies: list[Reply] = []

    async def ask() -> None:
        timer.cancel()
        replies.append(await client.ask('Is anybody there?', 0.3))

    timer = asker.node.create_timer(0.01, ask)
    # Nothing else would wake this executor.
    spinning = threading.Thread(target=asker.executor.spin, daemon=True)
    spinning.start()
    wait_until(lambda: replies, 20.0, 'the miss')
    assert replies[0].reason == 'NOT_READY'
    asker.executor.shutdown(timeout_sec=1.0)
    spinning.join(timeout=2.0)


@pytest.mark.parametrize('executor_type', [SingleThreadedExecutor, MultiThreadedExecutor])
def test_many_threads_ask_and_block_at_once(
    domain: int, start_server: Start, executor_type: type[Executor]
) -> None:
    start_server()
    asker = AskerSide(domain, executor_type).spin()
    client = asker.client()
    wrong: list[str] = []
    done: list[int] = []

    def ask(thread: int) -> None:
        for number in range(20):
            prompt = f'{thread}-{number}'
            reply = client.ask(prompt, LONG_S).wait()
            if reply.text != prompt:
                wrong.append(f'{prompt}: {reply}')
        done.append(thread)

    for thread in range(8):
        threading.Thread(target=ask, args=(thread,), daemon=True).start()
    wait_until(lambda: len(done) == 8, 60.0, 'all replies')
    assert wrong == []
    asker.close()


def test_a_callback_of_a_multi_threaded_executor_may_block(
    domain: int, start_server: Start
) -> None:
    start_server()
    asker = AskerSide(domain, MultiThreadedExecutor)
    client = asker.client()
    texts: list[str] = []

    def ask() -> None:
        timer.cancel()
        texts.append(client.ask('Blocking', LONG_S).wait().text)

    timer = asker.node.create_timer(0.01, ask)
    asker.spin()
    wait_until(lambda: texts, 20.0, 'the reply')
    assert texts == ['Blocking']
    asker.close()


def test_spin_until_future_complete_ends_with_the_reply(
    asker: AskerSide, start_server: Start
) -> None:
    start_server()
    client = asker.client()
    future = client.ask('Spun?', LONG_S)
    asker.executor.spin_until_future_complete(future, timeout_sec=20.0)
    assert future.result().text == 'Spun?'


def test_the_question_of_a_node_that_is_not_spun_waits(
    asker: AskerSide, start_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, 'UNANSWERED_S', LONG_S)
    server = start_server()
    client = asker.client()
    wait_until(lambda: server.greeted > 0, 20.0, 'the greeting')
    reply = client.ask('Who listens?', 0.2).wait()
    assert (reply.is_local, reply.reason) == (True, 'NOT_READY')
    assert "is the asker's node spun?" in reply.detail
    assert server.queries == []


def test_a_node_that_is_not_spun_gets_a_miss(
    asker: AskerSide, start_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, 'UNANSWERED_S', 0.1)
    monkeypatch.setattr(pending_question, 'GRACE_S', 0.1)
    server = start_server()
    client = asker.client()
    wait_until(lambda: server.greeted > 0, 20.0, 'the greeting')
    reply = client.ask('Who listens?', 1.0).wait()
    assert (reply.is_local, reply.reason) == (True, 'KILLED')
    assert [query.prompt for query in server.queries] == ['Who listens?']


def test_close_ends_open_questions_and_leaves_the_node_as_it_was(
    asker: AskerSide, start_server: Start
) -> None:
    server = start_server(hang)
    before = (len(list(asker.node.subscriptions)), len(list(asker.node.publishers)))
    client = asker.spin().client()
    future = client.ask('Still there?', LONG_S)
    wait_until(lambda: server.queries, 20.0, 'the query')
    client.close()
    assert resolved(future).reason == 'CANCELLED'
    assert (len(list(asker.node.subscriptions)), len(list(asker.node.publishers))) == before
    with pytest.raises(RuntimeError, match='closed'):
        client.ask('And now?', LONG_S)
    client.close()


def test_misses_come_also_when_the_executor_is_shut_down(
    asker: AskerSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_as_humble_does(*arguments: Any) -> None:
        raise AttributeError("'NoneType' object has no attribute 'trigger'")

    client = asker.client()
    asker.executor.shutdown(timeout_sec=1.0)
    monkeypatch.setattr(asker.executor, 'create_task', raise_as_humble_does)
    monkeypatch.setattr(asker.executor, 'wake', raise_as_humble_does)
    for budget_s in (0.1, 0.2):
        future = client.ask('Is anybody there?', budget_s)
        future.add_done_callback(print)
        assert resolved(future).reason == future.wait().reason == 'NOT_READY'


def test_open_questions_end_when_ros_is_shut_down(asker: AskerSide) -> None:
    future = asker.spin().client().ask('Is anybody there?', LONG_S)
    rclpy.shutdown(context=asker.context)
    reply = resolved(future)
    assert (reply.reason, reply.detail) == ('CANCELLED', 'ROS was shut down')


def test_open_questions_end_when_the_askers_node_is_destroyed(asker: AskerSide) -> None:
    client = asker.client()
    future = client.ask('Is anybody there?', 1.0)
    asker.node.destroy_node()
    assert resolved(future).reason == 'NOT_READY'


def test_another_name_of_the_server_is_asked(asker: AskerSide, start_server: Start) -> None:
    server = start_server()
    near = asker.spin().client(asker='near')
    far = asker.client(server='/robot2/timebill', asker='far')
    assert resolved(near.ask('Near?', LONG_S)).answered
    assert resolved(far.ask('Far?', 0.3)).reason == 'NOT_READY'
    assert [query.asker for query in server.queries] == ['near']


def test_a_withdrawn_question_ends_as_the_node_says(asker: AskerSide, start_server: Start) -> None:
    server = start_server(hang)
    client = asker.spin().client()
    kept, withdrawn = client.ask('Stay', LONG_S), client.ask('Go', LONG_S)
    wait_until(lambda: len(server.queries) == 2, 20.0, 'both queries')
    asker.wait_for_cancel()
    client.cancel(withdrawn)
    reply = resolved(withdrawn)
    assert (reply.reason, reply.is_local, reply.detail) == ('CANCELLED', False, 'on request')
    assert not kept.done()
    assert ('/asker', withdrawn.query_id) in server.cancelled


def test_a_withdrawal_that_is_faster_than_its_question_is_repeated(
    asker: AskerSide, start_server: Start
) -> None:
    server = start_server(hang, finds_nothing_before=3)
    client = asker.spin().client()
    resolved(client.ask('Connected?', LONG_S))
    asker.wait_for_cancel()
    future = client.ask('Go', LONG_S)
    client.cancel(future)
    assert resolved(future).reason == 'CANCELLED'
    assert server.cancelled == [('/asker', future.query_id)] * 4


def test_without_the_service_a_question_is_cancelled_here(
    asker: AskerSide, start_server: Start
) -> None:
    server = start_server(hang, has_cancel=False)
    client = asker.spin().client()
    resolved(client.ask('Connected?', LONG_S))
    future = client.ask('Go', LONG_S)
    client.cancel(future)
    reply = resolved(future)
    assert (reply.reason, reply.is_local) == ('CANCELLED', True)
    assert 'no service' in reply.detail
    wait_until(lambda: len(server.queries) == 2, 20.0, 'the query')


def test_a_question_that_was_not_sent_is_cancelled_here_and_never_sent(
    asker: AskerSide, start_server: Start
) -> None:
    client = asker.spin().client()
    future = client.ask('Is anybody there?', LONG_S)
    client.cancel(future)
    reply = resolved(future)
    assert (reply.reason, reply.is_local) == ('CANCELLED', True)
    assert 'before it was sent' in reply.detail
    server = start_server()
    resolved(client.ask('And now?', LONG_S))
    assert [query.prompt for query in server.queries] == ['And now?']


def test_a_reply_stands_when_its_question_is_withdrawn(
    asker: AskerSide, start_server: Start
) -> None:
    server = start_server()
    client = asker.spin().client()
    future = client.ask('Done?', LONG_S)
    resolved(future)
    client.cancel(future)
    assert resolved(future).text == 'Done?'
    assert server.cancelled == []
