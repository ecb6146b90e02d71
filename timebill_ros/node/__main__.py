"""The node's executable: takes the signals first, then the rest."""

import signal
import sys
import threading


def main() -> int:
    """Run the node until SIGINT, SIGTERM or SIGHUP; return the exit status."""
    stop = threading.Event()
    # rclpy's own handlers would shut the context down before the last replies are out. And before
    # rclpy is imported, which takes a third of a second, in which Ctrl-C would be a traceback.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    from timebill_ros.node.node_process import run_node

    return run_node(sys.argv, stop)


if __name__ == '__main__':
    sys.exit(main())
