"""The real node and model beside a server on loopback that has every fault: one reply each."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

import timebill_ros.msg as msg
from benchmark.remote.faulty_proxy import Fault, FaultyProxy, faulty_proxy
from support import fake_chat_server as fake
from support.asker import Asker, NodeProcess, node_and_asker, wait_until
from support.fake_chat_server import FakeChatServer, fake_chat_server
from support.node_services import NodeServices

KEY = 'sk-5ecret-5ecret'
BUDGET_S = 30.0
FAULTS = {
    'half a stream': fake.half_a_stream,
    'garbage': fake.garbage,
    'no JSON': fake.no_json,
    'not UTF-8': fake.not_utf8,
    'endless': fake.endless,
    'compressed': fake.bomb,
    'busy': fake.status(429, f'not you, {KEY}'),
    'broken': fake.status(500),
    'overloaded': fake.status(503),
    'no such model': fake.status(404),
    'redirected': fake.status(307, '', Location='http://127.0.0.1:1/'),
    'silent': fake.silence,
    'stalled': fake.stalled_stream,
}


class Stage(NamedTuple):
    """Everybody on it."""

    node: NodeProcess
    asker: Asker
    server: FakeChatServer
    proxy: FaultyProxy

    @property
    def remote_processes(self) -> list[psutil.Process]:
        children = psutil.Process(self.node.popen.pid).children()
        return [child for child in children if 'timebill_ros.remote' in child.cmdline()]


@pytest.fixture(scope='module')
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    log = tmp_path_factory.mktemp('node') / 'log'
    with fake_chat_server() as server, faulty_proxy(server.port) as proxy:
        values = {
            'profile_time': 0.0,
            'publish_reserve': 0.5,  # replies are in time on a busy machine, too
            'remote_policy': 'prefer',
            'remote_url': proxy.url,
            'remote_model': 'big',
            'remote_api_key_env': 'ROBOT_KEY',
            'remote_timeout': 2.0,
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv('ROBOT_KEY', KEY)
            with node_and_asker(log, **values) as (node, asker):
                asker.wait_until_serving()
                yield Stage(node, asker, server, proxy)
    assert 'Traceback' not in log.read_text()
    assert KEY not in log.read_text()


@pytest.fixture(autouse=True)
def _no_fault(stage: Stage) -> None:
    stage.proxy.fault = Fault()
    stage.server.behaviour = fake.says('Turn ', 'left', '.')


def _is_in_time(reply: Any) -> bool:
    return bool(reply.bill.slack > 0.0)


def test_a_remote_answer_says_who_answered_and_what_it_took(stage: Stage) -> None:
    reply = stage.asker.ask(stage.asker.query(id='plain', remote_policy=msg.Query.ONLY))
    assert (reply.text, reply.backend) == ('Turn left.', 'remote')
    assert reply.finish_reason == msg.Response.EOS
    assert 0.0 < reply.bill.remote_time < BUDGET_S
    assert (reply.bill.total_time, reply.bill.prompt_tokens) == (0.0, 7)


def test_a_query_may_forbid_it(stage: Stage) -> None:
    before = len(stage.server.requests)
    query = stage.asker.query(id='forbidden', remote_policy=msg.Query.OFF)
    assert stage.asker.ask(query).backend == 'local'
    assert len(stage.server.requests) == before


@pytest.mark.parametrize('name', FAULTS)
def test_only_gets_one_reply_whatever_the_server_does(stage: Stage, name: str) -> None:
    stage.server.behaviour = FAULTS[name]
    query = stage.asker.query(budget_s=BUDGET_S, id=f'only {name}', remote_policy=msg.Query.ONLY)
    reply = stage.asker.ask(query)
    assert reply.reason == msg.DeadlineMiss.ENGINE_FAULT
    assert reply.backend == 'remote'
    assert _is_in_time(reply)
    assert KEY not in reply.detail


@pytest.mark.parametrize(
    'fault',
    [
        Fault(is_closed=True),
        Fault(cut_after=0),
        Fault(cut_after=200),
        Fault(stall_after=0),
        Fault(garbage_after=0),
    ],
)
def test_only_gets_one_reply_whatever_the_network_does(stage: Stage, fault: Fault) -> None:
    stage.proxy.fault = fault
    query = stage.asker.query(
        budget_s=BUDGET_S, id=f'network {fault}', remote_policy=msg.Query.ONLY
    )
    reply = stage.asker.ask(query)
    assert reply.reason == msg.DeadlineMiss.ENGINE_FAULT
    assert _is_in_time(reply)


def test_a_deadline_before_the_time_out_is_kept(stage: Stage) -> None:
    stage.server.behaviour = fake.silence
    query = stage.asker.query(budget_s=1.5, id='short', remote_policy=msg.Query.ONLY)
    reply = stage.asker.ask(query)
    assert reply.reason == msg.DeadlineMiss.KILLED
    assert 'the remote engine was answering' in reply.detail


def test_prefer_answers_by_the_own_model_if_the_server_fails(stage: Stage) -> None:
    for number in range(3):  # the link is distrusted after the faults before
        stage.asker.ask(stage.asker.query(id=f'trust {number}', remote_policy=msg.Query.ONLY))
    stage.server.behaviour = fake.status(500)
    asked = len(stage.server.requests)
    reply = stage.asker.ask(stage.asker.query(id='prefer', budget_s=BUDGET_S))
    assert len(stage.server.requests) == asked + 1
    assert reply.backend == 'local'
    assert reply.bill.remote_time > 0.0
    assert _is_in_time(reply)


def _race(stage: Stage, name: str, **fields: Any) -> Any:
    for number in range(3):  # the link may be distrusted after the faults before
        trust = stage.asker.query(id=f'trust {name} {number}', remote_policy=msg.Query.ONLY)
        stage.asker.ask(trust)
    return stage.asker.query(id=name, remote_policy=msg.Query.RACE, **fields)


def test_a_race_is_won_by_the_remote_engine_if_it_is_whole_in_time(stage: Stage) -> None:
    query = _race(stage, 'remote wins', max_new_tokens=4, budget_s=BUDGET_S)
    stage.server.behaviour = fake.says('Turn ', 'left', '.', pause_s=1.0)
    reply = stage.asker.ask(query)
    assert (reply.text, reply.backend) == ('Turn left.', 'remote')
    assert reply.bill.remote_time > 2.0
    assert reply.bill.response_tokens == 4
    assert _is_in_time(reply)


def test_a_race_is_won_by_the_own_model_if_the_server_fails(stage: Stage) -> None:
    query = _race(stage, 'own wins', max_new_tokens=4, budget_s=BUDGET_S)
    stage.server.behaviour = fake.half_a_stream
    reply = stage.asker.ask(query)
    assert reply.backend == 'local'
    assert reply.bill.total_time > 0.0
    assert reply.bill.remote_time > 0.0
    assert reply.bill.discarded_tokens == 2
    assert _is_in_time(reply)


def test_an_own_answer_is_held_to_the_last_moment_of_a_race(stage: Stage) -> None:
    query = _race(stage, 'held', max_new_tokens=4, budget_s=5.0)
    stage.server.behaviour = fake.says(*['left '] * 100, pause_s=0.1)
    stage.asker.ask(stage.asker.query(id='warm', max_new_tokens=4, remote_policy=msg.Query.OFF))
    query.header.stamp = stage.asker.query().header.stamp
    reply = stage.asker.ask(query)
    wait_until(lambda: not stage.server.streaming, 10.0, 'the stream closed')
    # A machine that is very busy answers nothing within its budget; nothing comes late.
    assert isinstance(reply, msg.DeadlineMiss) or reply.backend == 'local'
    assert _is_in_time(reply)
    assert reply.bill.slack < 1.0
    assert reply.bill.remote_time > 2.0


def test_diagnostics_tell_of_the_link_and_not_of_the_key(stage: Stage) -> None:
    stage.server.behaviour = fake.status(503, f'not you, {KEY}')
    stage.asker.ask(stage.asker.query(id='down', remote_policy=msg.Query.ONLY))
    stage.asker.diagnostics.clear()

    def link() -> Any:
        found = [
            status
            for array in list(stage.asker.diagnostics)
            for status in array.status
            if status.name == '/timebill: link'
        ]
        return found[-1] if found else None

    wait_until(lambda: link(), 30.0, 'a status of the link')
    assert link().message.startswith('down: the remote engine answered with HTTP status 503')
    assert not [array for array in stage.asker.diagnostics if KEY in str(array)]


def test_the_policy_can_change_and_nothing_else(stage: Stage) -> None:
    services = NodeServices(stage.asker)
    assert len(stage.remote_processes) == 1
    refused = services.set(remote_url='http://127.0.0.1:1/v1')
    assert not refused.successful
    assert services.set(remote_policy='off').successful
    wait_until(lambda: not stage.remote_processes, 10.0, 'the remote process gone')
    reply = stage.asker.ask(stage.asker.query(id='off', remote_policy=msg.Query.ONLY))
    assert reply.reason == msg.DeadlineMiss.INVALID_QUERY
    assert services.set(remote_policy='only').successful
    wait_until(lambda: stage.remote_processes, 10.0, 'a remote process')
    wait_until(
        lambda: (
            stage.asker.ask(stage.asker.query(id=f'on {len(stage.asker.replies)}')).backend
            == 'remote'
        ),
        30.0,
        'a remote answer',
    )


def test_the_remote_process_ends_with_the_node(tmp_path: Path) -> None:
    with fake_chat_server() as server:
        values = {'remote_policy': 'only', 'remote_url': server.url, 'remote_model': 'big'}
        with node_and_asker(tmp_path / 'log', profile_time=0.0, **values) as (node, asker):
            stage = Stage(node, asker, server, None)  # type: ignore[arg-type]
            wait_until(lambda: stage.remote_processes, 60.0, 'a remote process')
            (process,) = stage.remote_processes
            assert node.end()[0] == 0
            process.wait(timeout=10.0)
