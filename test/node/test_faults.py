"""What goes wrong around a query: the worker stops, dies or never comes; the node is ended."""

import itertools
import signal
import time
from pathlib import Path

import psutil
import pytest

import timebill_ros.msg as msg
from support.asker import Asker, NodeProcess, node_and_asker, wait_until

LONG = 'Tell a very long story about a robot, with many chapters.'


def running_query(asker: Asker, query_id: str, budget_s: float = 60.0) -> None:
    """Ask a long question and wait until its answer has begun."""
    asker.publisher.publish(asker.query(LONG, budget_s, id=query_id, max_new_tokens=4000))
    wait_until(lambda: any(chunk.query_id == query_id for chunk in asker.chunks), 60.0, 'a chunk')


def assert_no_traceback(node: NodeProcess) -> None:
    assert 'Traceback' not in node.log.read_text()


def test_a_stopped_worker_is_replaced_and_its_query_ends_by_its_deadline(tmp_path: Path) -> None:
    # However busy the machine is, a query ends so long before its deadline.
    with node_and_asker(tmp_path / 'log', publish_reserve=3.0) as (node, asker):
        asker.wait_until_serving()
        running_query(asker, 'stopped', budget_s=7.0)
        worker = node.wait_for_worker()
        worker.suspend()
        asker.wait_for(['stopped'], 10.0)
        reply = asker.reply_to('stopped')
        assert reply.reason == msg.DeadlineMiss.KILLED
        assert reply.bill.slack > 0
        wait_until(lambda: not worker.is_running(), 10.0, 'the stopped worker to be killed')
        asker.wait_until_serving()
        assert node.wait_for_worker().pid != worker.pid
        assert isinstance(asker.ask(asker.query(id='next')), msg.Response)


def test_a_killed_worker_is_an_engine_fault_at_once(tmp_path: Path) -> None:
    with node_and_asker(tmp_path / 'log') as (node, asker):
        asker.wait_until_serving()
        running_query(asker, 'faulted')
        killed_s = time.monotonic()
        node.wait_for_worker().kill()
        asker.wait_for(['faulted'], 10.0)
        assert asker.received_s['asker', 'faulted'] - killed_s < 5.0
        reply = asker.reply_to('faulted')
        assert reply.reason == msg.DeadlineMiss.ENGINE_FAULT
        assert 'SIGKILL' in reply.detail
        asker.wait_until_serving()
        assert isinstance(asker.ask(asker.query(id='next')), msg.Response)


def test_a_worker_killed_in_a_loop_is_started_again_less_and_less_often(tmp_path: Path) -> None:
    with node_and_asker(tmp_path / 'log') as (node, asker):
        asker.wait_until_serving()  # a model that has been served once is tried without end
        killed_s = []
        for number in range(5):
            node.wait_for_worker().kill()
            killed_s.append(time.monotonic())
            wait_until(lambda: node.worker is None, 5.0, 'the worker to be gone')
            reply = asker.ask(asker.query(id=f'meanwhile-{number}'))
            # The node may learn of the first death after it has taken the query.
            faulted = number == 0 and reply.reason == msg.DeadlineMiss.ENGINE_FAULT
            assert faulted or reply.reason == msg.DeadlineMiss.NOT_READY
        gaps = [later - earlier for earlier, later in itertools.pairwise(killed_s)]
        assert gaps[-1] > 1.9, gaps  # 0.5, 1 and 2 s of back-off, besides the time to be seen
        asker.wait_until_serving()
        assert isinstance(asker.ask(asker.query(id='next')), msg.Response)


def test_a_worker_that_dies_whenever_it_loads_fails_configure_after_three_attempts(
    tmp_path: Path,
) -> None:
    with node_and_asker(tmp_path / 'log') as (node, asker):
        asker.wait_until_matched()
        for _ in range(3):
            node.wait_for_worker().kill()
            wait_until(lambda: node.worker is None, 5.0, 'the worker to be gone')
        wait_until(lambda: 'the node is unconfigured' in node.log.read_text(), 10.0, 'the end')
        reply = asker.ask(asker.query(id='q'))
        assert reply.reason == msg.DeadlineMiss.NOT_READY
        assert 'as the kernel does when memory runs out, after 3 attempts' in reply.detail
        assert reply.detail in node.log.read_text()
        assert_no_traceback(node)


def test_a_model_that_does_not_exist_is_said_in_a_sentence(tmp_path: Path) -> None:
    with node_and_asker(tmp_path / 'log', model='/nowhere/model.gguf') as (node, asker):
        asker.wait_until_matched()
        wait_until(lambda: 'does not exist' in node.log.read_text(), 60.0, 'the sentence')
        for number in range(2):
            reply = asker.ask(asker.query(id=str(number)))
            assert reply.reason == msg.DeadlineMiss.NOT_READY
            assert "'/nowhere/model.gguf' does not exist" in reply.detail
        assert node.popen.poll() is None
        assert_no_traceback(node)


def test_without_a_clock_simulated_deadlines_are_invalid_and_budgets_hold(tmp_path: Path) -> None:
    with node_and_asker(tmp_path / 'log', use_sim_time='true') as (_, asker):
        asker.wait_until_serving()
        query = asker.query(id='deadline', budget_s=0.0)
        query.deadline.sec = 100
        reply = asker.ask(query)
        assert reply.reason == msg.DeadlineMiss.INVALID_QUERY
        assert '/clock' in reply.detail
        assert isinstance(asker.ask(asker.query(id='budget')), msg.Response)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_what_runs_and_waits(tmp_path: Path, number: int) -> None:
    with node_and_asker(tmp_path / 'log') as (node, asker):
        asker.wait_until_serving()
        running_query(asker, 'running')
        asker.publisher.publish(asker.query(id='queued'))
        time.sleep(0.5)
        worker = node.wait_for_worker()
        code, seconds = node.end(number)
        asker.wait_for(['running', 'queued'], 5.0)
        for query_id in ('running', 'queued'):
            assert asker.reply_to(query_id).reason == msg.DeadlineMiss.CANCELLED
        assert code == 0
        assert seconds < 4.0  # 2 s by design
        wait_until(lambda: not worker.is_running(), 2.0, 'the worker to be gone')
        assert_no_traceback(node)


def test_a_signal_during_the_prefill_cancels_it(tmp_path: Path) -> None:
    with node_and_asker(tmp_path / 'log') as (node, asker):
        asker.wait_until_serving()
        asker.publisher.publish(asker.query('word ' * 7000, id='prefill'))
        time.sleep(1.0)
        code, seconds = node.end()
        asker.wait_for(['prefill'], 5.0)
        assert asker.reply_to('prefill').reason == msg.DeadlineMiss.CANCELLED
        assert (code, seconds < 4.0) == (0, True)
        assert_no_traceback(node)


def test_a_signal_while_loading_ends_both_processes(tmp_path: Path) -> None:
    with node_and_asker(tmp_path / 'log') as (node, asker):
        asker.wait_until_matched()
        worker = node.wait_for_worker()
        assert asker.ask(asker.query(id='early')).reason == msg.DeadlineMiss.NOT_READY
        code, seconds = node.end()
        assert (code, seconds < 4.0) == (0, True)
        wait_until(lambda: not worker.is_running(), 2.0, 'the worker to be gone')
        assert_no_traceback(node)


def test_a_signal_while_the_worker_waits_to_be_started_again_ends_the_node(tmp_path: Path) -> None:
    with node_and_asker(tmp_path / 'log') as (node, _):
        node.wait_for_worker().kill()
        wait_until(lambda: 'is started again' in node.log.read_text(), 5.0, 'the back-off')
        code, seconds = node.end(signal.SIGTERM)
        assert (code, seconds < 4.0) == (0, True)
        assert node.worker is None
        assert_no_traceback(node)


def test_a_killed_node_leaves_no_worker_behind(tmp_path: Path) -> None:
    with node_and_asker(tmp_path / 'log') as (node, _):
        worker = node.wait_for_worker()
        node.popen.kill()
        node.popen.wait()
        wait_until(
            lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE,
            5.0,
            'the worker to be gone',
        )


def test_a_misspelled_parameter_is_warned_of(tmp_path: Path) -> None:
    with node_and_asker(tmp_path / 'log', chunck_rate=5.0, eviction_window=8) as (node, _):
        wait_until(lambda: "'chunck_rate' is no parameter" in node.log.read_text(), 30.0, 'it')
        replaced = 'it has no effect; eviction_scorer has replaced it'
        wait_until(lambda: node.log.read_text().count(replaced) == 1, 30.0, 'the other')


def test_a_bad_parameter_at_start_is_a_sentence_and_an_exit_code(tmp_path: Path) -> None:
    with node_and_asker(tmp_path / 'log', publish_reserve=99.0) as (node, _):
        assert node.popen.wait(timeout=30.0) == 1
        assert 'publish_reserve' in node.log.read_text()
        assert_no_traceback(node)
