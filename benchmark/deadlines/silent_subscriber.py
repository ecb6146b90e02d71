"""A context manager: a process that subscribes to all replies, and never reads one."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile

from timebill_ros.msg import DeadlineMiss, Response, ResponseChunk


@contextlib.contextmanager
def silent_subscriber(environment: dict[str, str], is_stopped: bool) -> Iterator[None]:
    """Run the process.

    Arguments:
        environment: of the process; the node's ROS domain is in it.
        is_stopped: also its middleware does nothing: the process is stopped (SIGSTOP).
    """
    process = subprocess.Popen(
        [sys.executable, '-m', __name__],
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
    )
    assert process.stdout is not None
    process.stdout.readline()
    if is_stopped:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.kill()
        process.communicate()


def main() -> None:
    """Subscribe, say so, and sleep."""
    rclpy.init()
    node = Node('silent_subscriber')
    subscriptions = [
        node.create_subscription(kind, f'/timebill/{topic}', print, QoSProfile(depth=100))
        for kind, topic in (
            (Response, 'response'),
            (DeadlineMiss, 'deadline_miss'),
            (ResponseChunk, 'response_chunk'),
        )
    ]
    while not all(node.count_publishers(each.topic_name) for each in subscriptions):
        time.sleep(0.05)
    time.sleep(0.5)
    print('subscribed', flush=True)
    while True:
        time.sleep(1.0)


if __name__ == '__main__':
    main()
