"""The asker's client and the real node with the real model."""

from collections.abc import Iterator

import pytest

from support.asker import Asker, NodeProcess, node_and_asker
from timebill_ros.client import TimeBillClient


@pytest.fixture(scope='module')
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeProcess, Asker]]:
    log = tmp_path_factory.mktemp('node') / 'log'
    with node_and_asker(log) as (node, asker):
        asker.wait_until_serving()
        yield node, asker


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
