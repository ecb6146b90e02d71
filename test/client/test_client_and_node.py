"""The asker's client and the real node with the real model."""

from collections.abc import Iterator

import pytest

from support.asker import Asker, NodeProcess, node_and_asker, wait_until
from timebill_ros.client import TimeBillClient


@pytest.fixture(scope='module')
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeProcess, Asker]]:
    log = tmp_path_factory.mktemp('node') / 'log'
    with node_and_asker(log) as (node, asker):
        asker.wait_until_serving()
        yield node, asker


def test_a_context_is_prepared_and_not_read_again(running: tuple[NodeProcess, Asker]) -> None:
    _, asker = running
    client = TimeBillClient(asker.node, asker='preparer')
    context = 'The red box is in the hall. ' * 60
    wait_until(lambda: client._connection._preparer.service_is_ready(), 20.0, 'the service')
    futures = [client.prepare(context=text) for text in ('x ' * 9000, context)]
    wait_until(lambda: all(future.done() for future in futures), 90.0, 'both')
    refused, held = (future.result() for future in futures)
    assert not refused.success
    assert 'have a context' in refused.message or 'taken its place' in refused.message
    assert (held.success, held.message) == (True, '')
    assert held.tokens > 400 and held.bytes > 1e6
    replies = [client.ask('Where is the red box?', 90.0, context=context, max_new_tokens=8).wait()]
    history = [('user', 'Where is the red box?'), ('assistant', replies[0].text)]
    replies.append(client.ask('And now?', 90.0, history=history, max_new_tokens=8).wait())
    assert [reply.in_time for reply in replies] == [True, True]
    bill = replies[0].message.bill
    assert bill.prompt_tokens - 40 < bill.cached_tokens < bill.prompt_tokens
    dropped = client.prepare()
    wait_until(dropped.done, 20.0, 'the reply')
    assert dropped.result().success and dropped.result().tokens == 0
    client.close()


def test_a_context_that_is_out_of_bounds_is_not_prepared(
    running: tuple[NodeProcess, Asker],
) -> None:
    _, asker = running
    clients = [TimeBillClient(asker.node, asker=name) for name in ('x' * 257, 'x' * 256)]
    services = [client._connection._preparer for client in clients]
    wait_until(lambda: all(service.service_is_ready() for service in services), 20.0, 'both')
    futures = [client.prepare(context='x' * 262145) for client in clients]
    wait_until(lambda: all(future.done() for future in futures), 20.0, 'both')
    assert [(future.result().success, future.result().message) for future in futures] == [
        (False, 'asker must be at most 256 bytes, got 257'),
        (False, 'context must be at most 262144 bytes (max_prompt_bytes), got 262145'),
    ]
    for client in clients:
        client.close()


def test_an_answer_a_miss_and_the_nodes_end(running: tuple[NodeProcess, Asker]) -> None:
    node, asker = running
    client = TimeBillClient(asker.node)
    pieces: list[str] = []

    answer = client.ask(
        'What is the capital of France?', 90.0, max_new_tokens=8, on_chunk=pieces.append
    ).wait()
    assert answer.in_time, answer
    assert 'Paris' in answer.text
    assert answer.text.startswith(''.join(pieces))
    assert answer.message.bill.time_budget == pytest.approx(90.0)

    miss = client.ask('Tell a long story.', 1.0, max_new_tokens=4000).wait()
    assert (miss.reason, miss.is_local) == ('KILLED', False)

    withdrawn = client.ask('Tell a long story.', 90.0, max_new_tokens=4000)
    client.cancel(withdrawn)  # most likely before the node has the query
    cancelled = withdrawn.wait()
    assert (cancelled.reason, cancelled.is_local) == ('CANCELLED', False)

    future = client.ask('Tell a long story.', 3.0, max_new_tokens=4000)
    node.popen.kill()
    lost = future.wait()
    assert (lost.reason, lost.is_local) == ('KILLED', True)
    client.close()
