"""The process of asker.py. Its argument is the asker's name.

One JSON command a line on standard input, one JSON answer a line on standard output.
"""

import contextlib
import gc
import json
import signal
import sys
import threading
import time

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.signals import SignalHandlerOptions

from benchmark.deadlines.asker_node import AskerNode
from benchmark.deadlines.preparer import Preparer

_SWITCH_INTERVAL_S = 0.0005
"""Of Python's threads: while one publishes a burst, the other receives."""


def main() -> None:
    """Obey until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the benchmark, which ends this
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = AskerNode(sys.argv[1])
    preparer = Preparer(node, f'{sys.argv[1]}_preparer')
    threading.Thread(target=_spin, args=(node,), daemon=True).start()
    node.wait_for_node()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.disable()  # a collection here would look like a late reply
    for line in sys.stdin:
        print(json.dumps(_obey(node, preparer, json.loads(line))), flush=True)
    rclpy.shutdown()


def _obey(node: AskerNode, preparer: Preparer, command: dict) -> object:
    if 'finish' in command:
        node.wait_for_all()
        time.sleep(2.0)  # for a second reply to a query
        return {'records': node.records(), 'stray': node.stray}
    if 'wait_for_all' in command:
        node.wait_for_all()
        return None
    if 'parameters' in command:
        return node.set_parameters(command['parameters'])
    if 'prepare' in command:
        preparer.start(command['prepare'], command['pause_s'])
        return None
    if 'stop_preparing' in command:
        return preparer.stop()
    if 'overheard' in command:
        return node.overheard
    records = node.publish(command['asks'])
    if command['wait']:
        node.wait(record.id for record in records)
    return [record.replies[0].outcome if record.replies else '' for record in records]


def _spin(node: AskerNode) -> None:
    with contextlib.suppress(ExternalShutdownException):
        rclpy.spin(node)


if __name__ == '__main__':
    main()
