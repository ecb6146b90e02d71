"""An asker asks the real node, with a generous, a tight and an impossible time budget.

The asker is an ordinary rclpy node that knows only the public topics.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

import timebill_ros.msg as msg
from timebill_ros.demo_table import outcome, table
from timebill_ros.log_files import ros_arguments, why_no_log_files

NAMESPACE = '/timebill_demo'
_START_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Question:
    """A question of the demo, with its time budget in seconds."""

    id: str
    time_budget_s: float
    max_new_tokens: int
    prompt: str


_ROOMS = ('kitchen', 'hall', 'office', 'workshop', 'store', 'lobby')
_EVENTS = (
    'the floor was free and the robot drove on',
    'a person crossed the path, the robot waited and then drove on',
    'the gripper lifted a box from the shelf and put it on the cart',
    'the door was closed, the robot asked for it to be opened',
    'the map was updated because a chair had been moved',
)
_LOG = '\n'.join(
    f'{8 + minute // 60:02}:{minute % 60:02} in the {_ROOMS[minute % len(_ROOMS)]}, battery at '
    f'{99 - minute // 2} %: {_EVENTS[minute % len(_EVENTS)]}.'
    for minute in range(0, 130, 3)
)
PROMPT = (
    f'This is the log of a mobile robot.\n{_LOG}\n'
    'Tell its operator in three sentences what the robot did and what state it is in.'
)
MAX_NEW_TOKENS = 96
GENEROUS_BUDGET_S = 60.0
TIGHT_MARGIN_S, IMPOSSIBLE_SHARE = 0.5, 0.3
"""Added to the time of the generous query, and share of its prefill: suits any machine."""


def questions_after(bill: Any) -> list[Question]:
    """Return the tight and the impossible question, from the bill of the generous one."""
    return [
        Question(
            'tight',
            max(bill.predicted_prefill_time, bill.prefill_time)
            + bill.decode_time
            + TIGHT_MARGIN_S,
            MAX_NEW_TOKENS,
            PROMPT,
        ),
        Question('impossible', IMPOSSIBLE_SHARE * bill.prefill_time, MAX_NEW_TOKENS, PROMPT),
    ]


class Asker(Node):
    """Asks one question at a time, prints the text while it comes, and waits for the reply."""

    def __init__(self) -> None:
        super().__init__('demo_asker')
        self._answered = threading.Event()
        self._reply: Any = None
        qos = QoSProfile(depth=100)
        self._queries = self.create_publisher(msg.Query, f'{NAMESPACE}/timebill/query', qos)
        for message_type, topic, callback in (
            (msg.ResponseChunk, 'response_chunk', self._on_chunk),
            (msg.Response, 'response', self._on_reply),
            (msg.DeadlineMiss, 'deadline_miss', self._on_reply),
        ):
            self.create_subscription(message_type, f'{NAMESPACE}/timebill/{topic}', callback, qos)

    def ask(self, question: Question) -> Any:
        """Return the terminal reply; None if none has come a second after the deadline."""
        self._answered.clear()
        self._reply = None
        query = msg.Query(
            asker='demo',
            id=question.id,
            prompt=question.prompt,
            max_new_tokens=question.max_new_tokens,
        )
        query.header.stamp = self.get_clock().now().to_msg()
        query.time_budget.sec = int(question.time_budget_s)
        query.time_budget.nanosec = int(question.time_budget_s % 1 * 1e9)
        self._queries.publish(query)
        self._answered.wait(question.time_budget_s + 1.0)
        return self._reply

    def wait_until_ready(self) -> None:
        """Ask until the reply is no longer NOT_READY.

        Raises:
            TimeoutError: the model is not ready after some minutes.
        """
        end = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < end:
            if self._queries.get_subscription_count() and self.count_publishers(
                f'{NAMESPACE}/timebill/deadline_miss'
            ):
                reply = self.ask(Question('ready?', 5.0, 1, 'Ready?'))
                is_miss = isinstance(reply, msg.DeadlineMiss)
                if reply is not None and not (is_miss and reply.reason == reply.NOT_READY):
                    return
            time.sleep(0.5)
        raise TimeoutError(f'the node was not ready after {_START_TIMEOUT_S:.0f} s')

    def _on_chunk(self, chunk: msg.ResponseChunk) -> None:
        if chunk.query_id != 'ready?':
            print(chunk.text, end='', flush=True)

    def _on_reply(self, reply: Any) -> None:
        self._reply = reply
        self._answered.set()


@contextlib.contextmanager
def running_node() -> Iterator['subprocess.Popen[bytes]']:
    """Run the real node in its own process during the block."""
    command = [sys.executable, '-m', 'timebill_ros.node', '--ros-args', '-r', f'__ns:={NAMESPACE}']
    # Each query reads the whole prompt: else only the first would, and the budgets would mean
    # nothing for the others.
    command += ['-p', 'prefix_cache_mb:=0']
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=10)


def main() -> int:
    """Run the demo; return the exit status."""
    argparse.ArgumentParser(prog='timebill_demo', description=__doc__).parse_args()
    os.environ.setdefault('RCUTILS_COLORIZED_OUTPUT', '0')
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # rclpy's own handlers would shut the context down under the executor's thread.
    arguments = ros_arguments(sys.argv, why_no_log_files())
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    try:
        with spinning_asker() as asker, running_node():
            return ask_everything(asker)
    except KeyboardInterrupt:
        return 130
    except TimeoutError as error:
        print(f'timebill_demo: {error}', file=sys.stderr)
        return 1
    finally:
        rclpy.shutdown()


@contextlib.contextmanager
def spinning_asker() -> Iterator[Asker]:
    """Spin the asker's node in a thread during the block."""
    asker = Asker()
    executor = SingleThreadedExecutor()
    executor.add_node(asker)
    ended = Future()
    spinning = threading.Thread(
        target=executor.spin_until_future_complete, args=(ended,), daemon=True
    )
    spinning.start()
    try:
        yield asker
    finally:
        ended.set_result(None)
        spinning.join(timeout=1.0)
        executor.shutdown(timeout_sec=0.5)
        asker.destroy_node()


def ask_everything(asker: Asker) -> int:
    """Ask the three questions and print the replies; return the exit status."""
    print('starting the node (the first time, the model is converted and measured: 2 minutes)')
    asker.wait_until_ready()
    print(f'\n{PROMPT}')
    replies: list[Any] = []
    pending = [Question('generous', GENEROUS_BUDGET_S, MAX_NEW_TOKENS, PROMPT)]
    while pending:
        question = pending.pop(0)
        print(f'\n--- {question.id}: {question.time_budget_s:.2f} s')
        reply = asker.ask(question)
        if reply is None:
            print('no reply: this must not happen', file=sys.stderr)
            return 1
        if not replies:
            pending = questions_after(reply.bill)
        replies.append(reply)
        print(f'\n[{outcome(reply)}] {getattr(reply, "detail", "")}')
    print('\n' + table(replies))
    return 0


if __name__ == '__main__':
    sys.exit(main())
