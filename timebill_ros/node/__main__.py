"""The node's process: rclpy, signals, an executor."""

import gc
import signal
import sys
import threading

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from timebill_ros.node.timebill_node import TimebillNode


def main() -> int:
    """Run the node until SIGINT or SIGTERM; return the exit status."""
    stop = threading.Event()
    # rclpy's own handlers would shut the context down before the last replies are out.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # an unknown log level, a params file that is not YAML
        print(f'timebill: {error}', file=sys.stderr)
        return 1
    try:
        node = TimebillNode()
    except (ValueError, ParameterException) as error:
        print(f'timebill: {error}', file=sys.stderr)
        rclpy.shutdown()
        return 1
    # The guard's thread gets the interpreter from a busy executor sooner than after 5 ms.
    sys.setswitchinterval(0.001)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    ended = Future()
    spinning = threading.Thread(
        target=executor.spin_until_future_complete, args=(ended,), name='executor', daemon=True
    )
    spinning.start()
    gc.collect()
    gc.freeze()  # a full collection would take some 20 ms
    while spinning.is_alive() and not stop.wait(0.5):
        pass
    status = 0 if stop.is_set() else 1  # the executor ended by itself: a callback failed
    node.close()
    # The thread before the executor: one that takes up a callback meanwhile raises in rclpy.
    ended.set_result(None)
    spinning.join(timeout=0.5)
    executor.shutdown(timeout_sec=0.5)
    spinning.join(timeout=0.5)
    node.destroy_node()
    rclpy.shutdown()
    return status


if __name__ == '__main__':
    sys.exit(main())
