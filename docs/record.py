"""Records terminals as SVG, for the pages: `python docs/record.py demo docs/demo.svg`.

- `demo` runs `make demo`, as a reader does. The question's long log is shortened, and says so.
- `monitor` shows the monitor after a node has replied to queries for a while. Start the node and
  askers before: `make run`, `make example-two_planners`.
"""

import io
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
MONITORED_S = 25.0
SHOWN_LOG_LINES = 2
CHARACTER_WIDTH = 12.2
"""Of rich's SVG."""
_LEADING = re.compile(
    r'(<text [^>]*x=")([\d.]+)(" [^>]*textLength=")([\d.]+)("[^>]*>)((?:&#160;)+)(?!<)'
)
"""Blanks at the start of a text, which some viewers drop."""


def demo() -> Console:
    """Return a console that has shown `make demo`."""
    # The ROS wheels have set LD_LIBRARY_PATH for this process, and mark that they have: make sets
    # out without both, as in a reader's shell.
    own = ('LD_LIBRARY_PATH', '_ROS_WHEELS_BOOTSTRAP_COMPLETE')
    ran = subprocess.run(
        ['make', '--no-print-directory', 'demo'],
        env={name: value for name, value in os.environ.items() if name not in own},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(Text('$ make demo', style='bold'))
    log_lines = 0
    for line in ran.stdout.splitlines():
        log_lines += bool(re.match(r'\d\d:\d\d in the ', line))
        if not re.match(r'\d\d:\d\d in the ', line):
            if log_lines > SHOWN_LOG_LINES:
                console.print(Text(f'[... {log_lines - SHOWN_LOG_LINES} more lines]', style='dim'))
            log_lines = 0
            # What the node logs begins with its level and time: it says nothing to a reader here.
            if not re.match(r'\[(INFO|WARN)\]', line):
                console.print(Text(line))
        elif log_lines <= SHOWN_LOG_LINES:
            console.print(Text(line))
    return console


def monitor() -> Console:
    """Return a console that has shown the monitor."""
    import rclpy

    from timebill_ros.monitor.monitor_node import MonitorNode
    from timebill_ros.monitor.view import view

    rclpy.init()
    node = MonitorNode('/timebill')
    end_s = time.monotonic() + MONITORED_S
    while time.monotonic() < end_s:
        rclpy.spin_once(node, timeout_sec=0.1)
    console = Console(record=True, width=80, file=io.StringIO(), force_terminal=True)
    console.print(view(node.watch, node.trouble()))
    node.destroy_node()
    rclpy.shutdown()
    return console


def _moved(found: 're.Match[str]') -> str:
    """Return the start of a text without its blanks, so much further to the right."""
    before, x, between, length, after, blanks = found.groups()
    shift = CHARACTER_WIDTH * blanks.count(';')
    return f'{before}{float(x) + shift:g}{between}{float(length) - shift:g}{after}'


def main() -> int:
    """Write a recording; return the exit status."""
    recordings = {'demo': demo, 'monitor': monitor}
    if len(sys.argv) != 3 or sys.argv[1] not in recordings:
        print(__doc__, file=sys.stderr)
        return 2
    svg = recordings[sys.argv[1]]().export_svg(title=f'make {sys.argv[1]}')
    # rich names fonts on the web: a page must not fetch them from elsewhere.
    svg = re.sub(r'@font-face \{.*?\}', '', svg, flags=re.S)
    Path(sys.argv[2]).write_text(_LEADING.sub(_moved, svg), encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main())
