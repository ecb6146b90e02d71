"""Runs a part in a process of its own, for so long at most."""

import json
import subprocess
import sys
import threading
from pathlib import Path

from benchmark.gpu.tell import Tell

_SOURCE = Path(__file__).parents[2]
DONE = 'done'


def run_part(name: str, device: str, limit_s: float, tell: Tell) -> None:
    """Tell what a part finds, and under 'parts' and its name how it ended.

    Arguments:
        device: 'cuda', or 'cpu' for a test.
        limit_s: when it is killed [s]; what it has found until then counts.
    """
    process = subprocess.Popen(
        [sys.executable, '-m', 'benchmark.gpu.part', name, device],
        stdout=subprocess.PIPE,
        text=True,
        cwd=_SOURCE,
    )
    cut_off = threading.Event()

    def cut() -> None:
        cut_off.set()
        process.kill()

    timer = threading.Timer(limit_s, cut)
    timer.start()
    has_failed = False
    try:
        assert process.stdout is not None
        for line in process.stdout:
            try:
                finding = json.loads(line)
                value, path = finding['value'], finding['path']
            except (ValueError, TypeError, KeyError):
                print(line, end='', file=sys.stderr)  # what a library prints
                continue
            has_failed = has_failed or path == ['parts', name]
            tell(value, *path)
        status = process.wait()
    finally:
        timer.cancel()
        process.kill()
        process.wait()
    if cut_off.is_set():
        tell(f'cut off after {limit_s:.0f} s', 'parts', name)
    elif status == 0:
        tell(DONE, 'parts', name)
    elif not has_failed:
        tell(f'its process ended with status {status}', 'parts', name)
