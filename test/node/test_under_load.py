"""The real node when there is more to answer than time: policies, order, cancelling."""

from collections.abc import Iterator

import pytest

import timebill_ros.msg as msg
from node_services import NodeServices
from planner import NodeProcess, Planner, node_and_planner, wait_until

STORY = 'Tell a very long story about a robot, with many chapters.'
Running = tuple[NodeProcess, Planner, NodeServices]
DEFAULTS = {
    'overrun_policy': 'kill',
    'queue_order': 'fifo',
    'keep_latest': False,
    'abort_grace': 1.0,
}


@pytest.fixture(scope='module')
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    log = tmp_path_factory.mktemp('node') / 'log'
    with node_and_planner(log) as (node, planner):
        planner.wait_until_serving()
        yield node, planner, NodeServices(planner)
        assert 'Traceback' not in log.read_text()


@pytest.fixture
def running(node: Running) -> Running:
    """The same node for every test, with its parameters as they were."""
    assert node[2].set(**DEFAULTS).successful
    return node


def start(planner: Planner, query_id: str, budget_s: float = 60.0, **fields: object) -> None:
    """Ask a long question and wait until its answer has begun."""
    fields = {'max_new_tokens': 4000, **fields}
    planner.publisher.publish(planner.query(STORY, budget_s, id=query_id, **fields))
    wait_until(
        lambda: any(chunk.query_id == query_id for chunk in planner.chunks), 60.0, 'a chunk'
    )


def chunks_of(planner: Planner, reply: msg.Response) -> str:
    """Return the chunks of an answer, joined, when all are there."""

    def own() -> list[msg.ResponseChunk]:
        return [chunk for chunk in planner.chunks if chunk.query_id == reply.query_id]

    wait_until(lambda: len(own()) == reply.chunk_count, 5.0, 'all chunks')
    return ''.join(chunk.text for chunk in own())


def test_partial_is_the_text_so_far_on_time(running: Running) -> None:
    _, planner, _ = running
    start(planner, 'partial', 1.5, overrun_policy=msg.Query.PARTIAL)
    planner.wait_for(['partial'], 10.0)
    reply = planner.reply_to('partial')
    assert isinstance(reply, msg.Response)
    assert (reply.finish_reason, reply.deadline_met) == (msg.Response.DEADLINE, True)
    assert reply.bill.slack > 0
    assert reply.text
    assert chunks_of(planner, reply) == reply.text == reply.text.rstrip()


def test_partial_by_parameter_is_on_time_also_when_the_worker_is_stopped(running: Running) -> None:
    node, planner, services = running
    assert services.set(overrun_policy='partial').successful
    start(planner, 'stopped', 5.0)
    worker = node.wait_for_worker()
    worker.suspend()
    planner.wait_for(['stopped'], 10.0)
    reply = planner.reply_to('stopped')
    assert isinstance(reply, msg.Response)
    assert (reply.finish_reason, reply.bill.slack > 0) == (msg.Response.DEADLINE, True)
    assert chunks_of(planner, reply) == reply.text
    wait_until(lambda: not worker.is_running(), 5.0, 'the stopped worker to be killed')
    planner.wait_until_serving()


def test_partial_whose_worker_dies_is_an_engine_fault(running: Running) -> None:
    node, planner, _ = running
    start(planner, 'dead', 60.0, overrun_policy=msg.Query.PARTIAL)
    node.wait_for_worker().kill()
    planner.wait_for(['dead'], 10.0)
    assert planner.reply_to('dead').reason == msg.DeadlineMiss.ENGINE_FAULT
    planner.wait_until_serving()


def test_skip_next_is_late_and_what_waits_or_comes_meanwhile_is_skipped(running: Running) -> None:
    node, planner, services = running
    assert services.set(overrun_policy='skip_next').successful
    start(planner, 'late', 2.0, max_new_tokens=200)
    worker = node.wait_for_worker()
    worker.suspend()  # so that it is late, however quick the machine
    planner.publisher.publish(planner.query(id='waiting'))
    planner.wait_for(['waiting'], 10.0)
    planner.ask(planner.query(id='newcomer'))
    worker.resume()
    planner.wait_for(['late'], 60.0)
    late = planner.reply_to('late')
    assert isinstance(late, msg.Response)
    assert (late.deadline_met, late.bill.slack < 0) == (False, True)
    assert chunks_of(planner, late) == late.text
    assert planner.reply_to('waiting').reason == msg.DeadlineMiss.SKIPPED
    assert planner.reply_to('newcomer').reason == msg.DeadlineMiss.SKIPPED
    assert isinstance(planner.ask(planner.query(id='after late')), msg.Response)


def test_skip_next_with_a_stopped_worker_gets_a_reply_and_a_new_worker(running: Running) -> None:
    node, planner, services = running
    assert services.set(overrun_policy='skip_next', abort_grace=0.2).successful
    start(planner, 'hung', 3.0)
    worker = node.wait_for_worker()
    worker.suspend()
    planner.wait_for(['hung'], 20.0)
    reply = planner.reply_to('hung')
    assert reply.reason == msg.DeadlineMiss.ENGINE_FAULT
    assert 'no sign of life' in reply.detail
    wait_until(lambda: not worker.is_running(), 5.0, 'the stopped worker to be killed')
    planner.wait_until_serving()


def test_cancel_stops_a_prefill_and_the_next_is_served(running: Running) -> None:
    _, planner, services = running
    planner.publisher.publish(planner.query('word ' * 7500, 200.0, id='prefill'))
    planner.publisher.publish(planner.query(id='next'))
    wait_until(lambda: services.cancel('planner', 'prefill').success, 10.0, 'it to be known')
    planner.wait_for(['prefill', 'next'], 60.0)
    assert planner.reply_to('prefill').reason == msg.DeadlineMiss.CANCELLED
    reply = planner.reply_to('next')
    assert isinstance(reply, msg.Response)
    # Reading all those words would have taken tens of seconds.
    assert planner.received_s['planner', 'next'] - planner.received_s['planner', 'prefill'] < 8.0


def test_cancel_without_an_id_ends_all_of_the_asker(running: Running) -> None:
    _, planner, services = running
    start(planner, 'mine')
    for query_id, asker in (('mine too', 'planner'), ('theirs', 'other')):
        planner.publisher.publish(planner.query(id=query_id, asker=asker))
    ended: list[str] = []

    def cancel_two() -> bool:
        ended.append(services.cancel('planner', '').message)
        return {'mine', 'mine too'} <= {reply.query_id for reply in planner.replies}

    wait_until(cancel_two, 10.0, 'both to be cancelled')
    assert planner.reply_to('mine').reason == msg.DeadlineMiss.CANCELLED
    assert planner.reply_to('mine too').reason == msg.DeadlineMiss.CANCELLED
    planner.wait_for(['theirs'])
    assert isinstance(planner.reply_to('theirs'), msg.Response)
    again = services.cancel('planner', 'mine')
    assert not again.success
    assert again.message == "no query 'mine' of asker 'planner' waits or runs"


def test_the_earliest_deadline_is_served_first(running: Running) -> None:
    _, planner, services = running
    assert services.set(queue_order='edf').successful
    start(planner, 'first', max_new_tokens=200)
    for query_id, budget_s in (('far', 90.0), ('near', 50.0), ('middle', 70.0)):
        planner.publisher.publish(planner.query(id=query_id, budget_s=budget_s))
    ids = ['near', 'middle', 'far']
    planner.wait_for(ids)
    assert [reply.query_id for reply in planner.replies if reply.query_id in ids] == ids


def test_keep_latest_cancels_the_older_query_of_the_same_asker(running: Running) -> None:
    _, planner, services = running
    assert services.set(keep_latest=True).successful
    start(planner, 'older')
    reply = planner.ask(planner.query(id='newer'))
    assert isinstance(reply, msg.Response)
    assert planner.reply_to('older').reason == msg.DeadlineMiss.CANCELLED
    assert "'newer' (keep_latest)" in planner.reply_to('older').detail


def test_a_bad_set_is_refused_whole_and_the_old_values_stand(running: Running) -> None:
    _, planner, services = running
    assert services.set(default_time_budget=77.0).successful
    refused = services.set(default_time_budget=66.0, queue_order='lifo')
    assert not refused.successful
    assert "queue_order must be one of fifo, edf, got 'lifo'" in refused.reason
    refused = services.set(default_time_budget=66.0, model='another')
    assert not refused.successful
    assert 'only while the node is unconfigured' in refused.reason
    reply = planner.ask(planner.query(budget_s=0.0, id='budget'))
    assert reply.bill.time_budget == pytest.approx(77.0)
