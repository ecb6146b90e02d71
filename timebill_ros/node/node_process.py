"""The node's process: arguments, rclpy, an executor."""

import argparse
import gc
import sys
import threading
import traceback
from collections.abc import Callable, Sequence

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from rclpy.utilities import remove_ros_args

from timebill_ros.log_files import ros_arguments, why_no_log_files
from timebill_ros.node.argument_error import argument_error
from timebill_ros.node.logger import Logger
from timebill_ros.node.timebill_node import TimebillNode

_USAGE = (
    'The node answers questions with a language model by their deadlines. It has no arguments but '
    "ROS's: parameters (--ros-args -p model:=FILE.gguf), a file of them (--ros-args --params-file "
    'FILE), names (--ros-args -r __ns:=/robot). `ros2 param describe /timebill NAME` tells what a '
    'parameter means.'
)


def run_node(arguments: Sequence[str], stop: threading.Event) -> int:
    """Run the node until it is told to stop; return the exit status.

    Arguments:
        arguments: of the process, ROS's among them.
        stop: set by a signal.
    """
    parser = argparse.ArgumentParser(
        prog='timebill_node', description=_USAGE, usage='%(prog)s [-h] [--ros-args ...]'
    )
    try:
        parser.parse_args(remove_ros_args(list(arguments))[1:])
        no_log_files = why_no_log_files()
        rclpy.init(
            args=ros_arguments(arguments, no_log_files),
            signal_handler_options=SignalHandlerOptions.NO,
        )
    except RuntimeError as error:  # a parameter, a file of them that is not YAML
        print(f'timebill: {argument_error(error)}', file=sys.stderr)
        return 1
    try:
        node = TimebillNode()
    except (ValueError, ParameterException) as error:
        print(f'timebill: {error}', file=sys.stderr)
        rclpy.shutdown()
        return 1
    if no_log_files:
        node.get_logger().warning(no_log_files)
    threading.excepthook = fault_hook(node.get_logger())
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


def fault_hook(logger: Logger) -> Callable[[threading.ExceptHookArgs], None]:
    """Return what tells of an exception that ends a thread: a sentence; at DEBUG, the traceback.

    Arguments:
        logger: the node's.
    """

    def tell(fault: threading.ExceptHookArgs) -> None:
        name = fault.thread.name if fault.thread else 'unknown'
        kind, value, trace = fault.exc_type, fault.exc_value, fault.exc_traceback
        logger.error(f'a fault of the node ends its thread {name!r}: {kind.__name__}: {value}')
        logger.debug(''.join(traceback.format_exception(kind, value, trace)))

    return tell
