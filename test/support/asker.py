"""The other side of the topics: a real node in a process, and an asker that asks it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile

import timebill_ros.msg as msg
from support.ros_domain import next_domain

START_TIMEOUT_S = 180.0


def wait_until(condition: Callable[[], Any], timeout_s: float, what: str) -> None:
    """Fail if the condition does not come true in time."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f'not within {timeout_s} s: {what}'
        time.sleep(0.01)


class Asker:
    """Asks queries of the node in a namespace ('' or '/name'), and collects all replies."""

    def __init__(self, domain: int, namespace: str = '') -> None:
        self.peer = f'{namespace}/timebill'
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = Node('asker', context=self.context)
        qos = QoSProfile(depth=2000)
        self.publisher = self.node.create_publisher(msg.Query, f'{self.peer}/query', qos)
        self.replies: list[Any] = []
        self.chunks: list[msg.ResponseChunk] = []
        self.received_s: dict[tuple[str, str], float] = {}
        self.diagnostics: list[DiagnosticArray] = []
        for message_type, topic, callback in (
            (msg.Response, f'{self.peer}/response', self._on_reply),
            (msg.DeadlineMiss, f'{self.peer}/deadline_miss', self._on_reply),
            (msg.ResponseChunk, f'{self.peer}/response_chunk', self.chunks.append),
            (DiagnosticArray, '/diagnostics', self.diagnostics.append),
        ):
            self.node.create_subscription(message_type, topic, callback, qos)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._spinning = threading.Thread(target=self._executor.spin, daemon=True)
        self._spinning.start()

    def close(self) -> None:
        self._executor.shutdown(timeout_sec=1.0)
        self._spinning.join(timeout=2.0)
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def _on_reply(self, reply: Any) -> None:
        self.received_s[reply.asker, reply.query_id] = time.monotonic()
        self.replies.append(reply)

    def query(self, prompt: str = 'Name a fruit.', budget_s: float = 90.0, **fields: Any) -> Any:
        """Return a query that is stamped now."""
        query = msg.Query(prompt=prompt, **{'asker': 'asker', 'max_new_tokens': 8, **fields})
        query.header.stamp = self.node.get_clock().now().to_msg()
        seconds, nanoseconds = divmod(round(budget_s * 1e9), 10**9)
        query.time_budget.sec, query.time_budget.nanosec = seconds, nanoseconds
        return query

    def ask(self, query: Any, timeout_s: float = 120.0) -> Any:
        """Publish a query with an id of its own; return its one reply."""
        self.publisher.publish(query)
        self.wait_for([query.id], timeout_s)
        return self.reply_to(query.id)

    def wait_for(self, ids: list[str], timeout_s: float = 120.0) -> None:
        wait_until(
            lambda: set(ids) <= {reply.query_id for reply in self.replies},
            timeout_s,
            f'replies to {ids[:5]}',
        )

    def reply_to(self, query_id: str) -> Any:
        found = [reply for reply in self.replies if reply.query_id == query_id]
        assert len(found) == 1, f'{len(found)} replies to {query_id}'
        return found[0]

    def wait_until_matched(self, timeout_s: float = 30.0) -> None:
        """Wait until queries reach the node and its replies would reach us."""
        wait_until(
            lambda: (
                self.publisher.get_subscription_count()
                and self.node.count_publishers(f'{self.peer}/deadline_miss')
                and self.node.count_publishers(f'{self.peer}/response')
            ),
            timeout_s,
            'the node on the other side',
        )
        time.sleep(0.5)  # the other direction's matching is not visible from here

    def wait_until_serving(self) -> None:
        self.wait_until_matched()
        self.diagnostics.clear()
        wait_until(
            lambda: any(
                status.message == 'serving queries' and status.name.startswith(f'{self.peer}:')
                for array in list(self.diagnostics)
                for status in array.status
            ),
            START_TIMEOUT_S,
            'the node serving queries',
        )


class NodeProcess:
    """The real node, in a process of its own."""

    def __init__(self, domain: int, log: Path, namespace: str = '', **values: Any) -> None:
        overrides = [part for name, value in values.items() for part in ('-p', f'{name}:={value}')]
        if namespace:
            overrides += ['-r', f'__ns:={namespace}']
        arguments = ['--ros-args', *overrides] if overrides else []
        self.log = log
        with log.open('wb') as stream:
            self.popen = subprocess.Popen(
                [sys.executable, '-m', 'timebill_ros.node', *arguments],
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={**os.environ, 'ROS_DOMAIN_ID': str(domain)},
            )

    @property
    def worker(self) -> psutil.Process | None:
        """The worker process; None while there is none."""
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.popen.pid).children():
                if 'timebill_ros.worker' in child.cmdline():
                    return child
        return None

    def wait_for_worker(self) -> psutil.Process:
        wait_until(lambda: self.worker, 30.0, 'a worker process')
        worker = self.worker
        assert worker is not None
        return worker

    def end(self, number: int = signal.SIGINT) -> tuple[int, float]:
        """Signal the node; return its exit code and how long it took to end [s]."""
        start_s = time.monotonic()
        self.popen.send_signal(number)
        return self.popen.wait(timeout=20.0), time.monotonic() - start_s

    def close(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()


@contextlib.contextmanager
def node_and_asker(log: Path, **values: Any) -> Iterator[tuple[NodeProcess, Asker]]:
    """Run a node with parameters, and an asker, in a ROS domain of their own."""
    domain = next_domain()
    node = NodeProcess(domain, log, **values)
    asker = Asker(domain)
    try:
        yield node, asker
    finally:
        asker.close()
        node.close()
