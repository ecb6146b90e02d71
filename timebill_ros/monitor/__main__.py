"""Shows in a terminal what the node does; Ctrl-C ends it.

For each reply it shows predicted beside measured times, and the eviction ratio (alpha). Above, it
shows what the node tells on /diagnostics: misses by reason, miss rate, waiting queries, prefix
cache, link to a remote engine.
"""

import argparse
import re
import signal
import sys
import threading
import time

_REFRESH_S = 0.25
_ONCE_S = 3.0
"""How long `--once` waits for the node. The node tells how it is each second."""


def main() -> int:
    """Run the monitor until SIGINT, SIGTERM or SIGHUP; return the exit status."""
    stop = threading.Event()
    # Before rclpy is imported, which takes a third of a second, in which Ctrl-C would be a
    # traceback.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    own = sys.argv[1 : sys.argv.index('--ros-args')] if '--ros-args' in sys.argv else sys.argv[1:]
    parser = _parser()
    arguments = parser.parse_args(own)
    name = '/' + arguments.node.strip('/')
    if not re.fullmatch(r'(/[A-Za-z_][A-Za-z0-9_]*)+', name):
        parser.error(f'--node must be a full name like /timebill, got {arguments.node!r}')
    try:
        import rich  # noqa: F401
    except ImportError:
        print('monitor: rich is not installed. Install it: pip install rich', file=sys.stderr)
        return 1
    return _run(name, arguments.once, stop)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='monitor', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--node', default='/timebill', help='full name of the node to watch')
    parser.add_argument('--once', action='store_true', help='print one table, and end')
    return parser


def _run(name: str, is_once: bool, stop: threading.Event) -> int:
    import rclpy
    from rclpy.signals import SignalHandlerOptions
    from rich.console import Console
    from rich.live import Live

    from timebill_ros.log_files import ros_arguments, why_no_log_files
    from timebill_ros.monitor.monitor_node import MonitorNode
    from timebill_ros.monitor.view import view

    console = Console()
    arguments = ros_arguments(sys.argv, why_no_log_files())
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    node = MonitorNode(name)
    try:
        if is_once:
            end_s = time.monotonic() + _ONCE_S
            while time.monotonic() < end_s and not stop.is_set() and not node.watch.is_heard:
                rclpy.spin_once(node, timeout_sec=0.1)
            console.print(view(node.watch, node.trouble()))
            return 0 if node.watch.is_heard else 1
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while not stop.is_set():
                live.update(view(node.watch, node.trouble()), refresh=True)
                end_s = time.monotonic() + _REFRESH_S
                while time.monotonic() < end_s and not stop.is_set():
                    rclpy.spin_once(node, timeout_sec=max(0.0, end_s - time.monotonic()))
        return 0
    finally:
        node.destroy_node()
        rclpy.shutdown()


if __name__ == '__main__':
    sys.exit(main())
