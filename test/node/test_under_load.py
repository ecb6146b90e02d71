"""The real node when there is more to answer than time: policies, order, cancelling."""

from collections.abc import Iterator

import pytest

import timebill_ros.msg as msg
from support.asker import Asker, NodeProcess, node_and_asker, wait_until
from support.node_services import NodeServices

STORY = 'Tell a very long story about a robot, with many chapters.'
WIDE_RESERVE_S = 3.0
"""However busy the machine is, an answer is cut so long before its deadline."""

Running = tuple[NodeProcess, Asker, NodeServices]
DEFAULTS = {
    'overrun_policy': 'kill',
    'queue_order': 'fifo',
    'keep_latest': False,
    'abort_grace': 1.0,
    'publish_reserve': 0.02,
}


@pytest.fixture(scope='module')
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    log = tmp_path_factory.mktemp('node') / 'log'
    with node_and_asker(log) as (node, asker):
        asker.wait_until_serving()
        yield node, asker, NodeServices(asker)
        assert 'Traceback' not in log.read_text()


@pytest.fixture
def running(node: Running) -> Running:
    """The same node for every test, with its parameters as they were."""
    assert node[2].set(**DEFAULTS).successful
    return node


def start(asker: Asker, query_id: str, budget_s: float = 60.0, **fields: object) -> None:
    """Ask a long question and wait until its answer has begun."""
    fields = {'max_new_tokens': 4000, **fields}
    asker.publisher.publish(asker.query(STORY, budget_s, id=query_id, **fields))
    wait_until(lambda: any(chunk.query_id == query_id for chunk in asker.chunks), 60.0, 'a chunk')


def chunks_of(asker: Asker, reply: msg.Response) -> str:
    """Return the chunks of an answer, joined, when all are there."""

    def own() -> list[msg.ResponseChunk]:
        return [chunk for chunk in asker.chunks if chunk.query_id == reply.query_id]

    wait_until(lambda: len(own()) == reply.chunk_count, 5.0, 'all chunks')
    return ''.join(chunk.text for chunk in own())


def test_partial_is_the_text_so_far_on_time(running: Running) -> None:
    _, asker, services = running
    assert services.set(publish_reserve=WIDE_RESERVE_S).successful
    start(asker, 'partial', 6.0, overrun_policy=msg.Query.PARTIAL)
    asker.wait_for(['partial'], 10.0)
    reply = asker.reply_to('partial')
    assert isinstance(reply, msg.Response)
    assert (reply.finish_reason, reply.deadline_met) == (msg.Response.DEADLINE, True)
    assert reply.bill.slack > 0
    assert reply.text
    assert chunks_of(asker, reply) == reply.text == reply.text.rstrip()


def test_partial_by_parameter_is_on_time_also_when_the_worker_is_stopped(running: Running) -> None:
    node, asker, services = running
    assert services.set(overrun_policy='partial', publish_reserve=WIDE_RESERVE_S).successful
    start(asker, 'stopped', 8.0)
    worker = node.wait_for_worker()
    worker.suspend()
    asker.wait_for(['stopped'], 10.0)
    reply = asker.reply_to('stopped')
    assert isinstance(reply, msg.Response)
    assert (reply.finish_reason, reply.bill.slack > 0) == (msg.Response.DEADLINE, True)
    assert chunks_of(asker, reply) == reply.text
    wait_until(lambda: not worker.is_running(), 5.0, 'the stopped worker to be killed')
    asker.wait_until_serving()


def test_partial_whose_worker_dies_is_an_engine_fault(running: Running) -> None:
    node, asker, _ = running
    start(asker, 'dead', 60.0, overrun_policy=msg.Query.PARTIAL)
    node.wait_for_worker().kill()
    asker.wait_for(['dead'], 10.0)
    assert asker.reply_to('dead').reason == msg.DeadlineMiss.ENGINE_FAULT
    asker.wait_until_serving()


def test_skip_next_is_late_and_what_waits_or_comes_meanwhile_is_skipped(running: Running) -> None:
    node, asker, services = running
    assert services.set(overrun_policy='skip_next').successful
    start(asker, 'late', 2.0, max_new_tokens=200)
    worker = node.wait_for_worker()
    worker.suspend()  # so that it is late, however quick the machine
    asker.publisher.publish(asker.query(id='waiting'))
    asker.wait_for(['waiting'], 10.0)
    asker.ask(asker.query(id='newcomer'))
    worker.resume()
    asker.wait_for(['late'], 60.0)
    late = asker.reply_to('late')
    assert isinstance(late, msg.Response)
    assert (late.deadline_met, late.bill.slack < 0) == (False, True)
    assert chunks_of(asker, late) == late.text
    assert asker.reply_to('waiting').reason == msg.DeadlineMiss.SKIPPED
    assert asker.reply_to('newcomer').reason == msg.DeadlineMiss.SKIPPED
    assert isinstance(asker.ask(asker.query(id='after late')), msg.Response)


def test_skip_next_with_a_stopped_worker_gets_a_reply_and_a_new_worker(running: Running) -> None:
    node, asker, services = running
    assert services.set(overrun_policy='skip_next', abort_grace=0.2).successful
    start(asker, 'hung', 3.0)
    worker = node.wait_for_worker()
    worker.suspend()
    asker.wait_for(['hung'], 20.0)
    reply = asker.reply_to('hung')
    assert reply.reason == msg.DeadlineMiss.ENGINE_FAULT
    assert 'no sign of life' in reply.detail
    wait_until(lambda: not worker.is_running(), 5.0, 'the stopped worker to be killed')
    asker.wait_until_serving()


def test_cancel_stops_a_prefill_and_the_next_is_served(running: Running) -> None:
    _, asker, services = running
    asker.publisher.publish(asker.query('word ' * 7500, 200.0, id='prefill'))
    asker.publisher.publish(asker.query(budget_s=200.0, id='next'))
    wait_until(lambda: services.cancel('asker', 'prefill').success, 10.0, 'it to be known')
    asker.wait_for(['prefill', 'next'], 60.0)
    assert asker.reply_to('prefill').reason == msg.DeadlineMiss.CANCELLED
    reply = asker.reply_to('next')
    assert isinstance(reply, msg.Response)
    # Reading all those words would have taken tens of seconds.
    assert asker.received_s['asker', 'next'] - asker.received_s['asker', 'prefill'] < 8.0


def test_cancel_without_an_id_ends_all_of_the_asker(running: Running) -> None:
    _, asker, services = running
    start(asker, 'mine')
    for query_id, name in (('mine too', 'asker'), ('theirs', 'other')):
        asker.publisher.publish(asker.query(id=query_id, asker=name))
    ended: list[str] = []

    def cancel_two() -> bool:
        ended.append(services.cancel('asker', '').message)
        return {'mine', 'mine too'} <= {reply.query_id for reply in asker.replies}

    wait_until(cancel_two, 10.0, 'both to be cancelled')
    assert asker.reply_to('mine').reason == msg.DeadlineMiss.CANCELLED
    assert asker.reply_to('mine too').reason == msg.DeadlineMiss.CANCELLED
    asker.wait_for(['theirs'])
    assert isinstance(asker.reply_to('theirs'), msg.Response)
    again = services.cancel('asker', 'mine')
    assert not again.success
    assert again.message == "no query 'mine' of asker 'asker' waits or runs"


def test_the_earliest_deadline_is_served_first(running: Running) -> None:
    _, asker, services = running
    assert services.set(queue_order='edf').successful
    start(asker, 'first', max_new_tokens=200)
    for query_id, budget_s in (('far', 90.0), ('near', 50.0), ('middle', 70.0)):
        asker.publisher.publish(asker.query(id=query_id, budget_s=budget_s))
    ids = ['near', 'middle', 'far']
    asker.wait_for(ids)
    assert [reply.query_id for reply in asker.replies if reply.query_id in ids] == ids


def test_keep_latest_cancels_the_older_query_of_the_same_asker(running: Running) -> None:
    _, asker, services = running
    assert services.set(keep_latest=True).successful
    start(asker, 'older')
    reply = asker.ask(asker.query(id='newer'))
    assert isinstance(reply, msg.Response)
    assert asker.reply_to('older').reason == msg.DeadlineMiss.CANCELLED
    assert "'newer' (keep_latest)" in asker.reply_to('older').detail


def test_a_bad_set_is_refused_whole_and_the_old_values_stand(running: Running) -> None:
    _, asker, services = running
    assert services.set(default_time_budget=77.0).successful
    refused = services.set(default_time_budget=66.0, queue_order='lifo')
    assert not refused.successful
    assert "queue_order must be one of fifo, edf, got 'lifo'" in refused.reason
    refused = services.set(default_time_budget=66.0, model='another')
    assert not refused.successful
    assert 'only while the node is unconfigured' in refused.reason
    reply = asker.ask(asker.query(budget_s=0.0, id='budget'))
    assert reply.bill.time_budget == pytest.approx(77.0)
