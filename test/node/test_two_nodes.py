"""Two nodes in two namespaces of one domain, driven as a robot's lifecycle manager would."""

import signal
from pathlib import Path

import psutil

import timebill_ros.msg as msg
from support.asker import Asker, NodeProcess
from support.lifecycle_manager import LifecycleManager
from support.ros_domain import next_domain


def test_two_nodes_answer_their_own_queries_and_cycle_on_their_own(tmp_path: Path) -> None:
    domain = next_domain()
    names = ('robot1', 'robot2')
    nodes = [NodeProcess(domain, tmp_path / name, namespace=f'/{name}') for name in names]
    askers = [Asker(domain, f'/{name}') for name in names]
    try:
        for asker in askers:
            asker.wait_until_serving()
        first, second = askers
        worker = nodes[0].wait_for_worker()
        untouched = nodes[1].wait_for_worker()
        for cycle in range(2):
            LifecycleManager(first).cycle(f'cycle {cycle}')
        assert not worker.is_running()
        assert nodes[1].wait_for_worker().pid == untouched.pid
        assert second.replies == []
        assert isinstance(second.ask(second.query(id='own')), msg.Response)
        assert 'own' not in {reply.query_id for reply in first.replies}
        workers = [node.wait_for_worker() for node in nodes]
        assert [node.end(signal.SIGINT)[0] for node in nodes] == [0, 0]
        psutil.wait_procs(workers, timeout=5.0)
        assert not any(worker.is_running() for worker in workers)
    finally:
        for asker in askers:
            asker.close()
        for node in nodes:
            node.close()
