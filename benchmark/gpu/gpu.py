"""Compares a CUDA device with the CPU, then measures the engine on it, in eight minutes at most.

It needs neither ROS nor a network, nor a built package: `python -m benchmark gpu`. Each part runs
in a process of its own. What a part finds is kept, also if it fails or is cut off later.
"""

import argparse
import json
import sys
import time
from typing import Any

from benchmark.gpu.disagreements import disagreements
from benchmark.gpu.missing import missing
from benchmark.gpu.part_process import DONE, run_part
from benchmark.report.results_folder import RESULTS

TOTAL_S = 470.0
"""Of all parts; the rest of the eight minutes is for the figure and for processes that end."""
LIMITS_S = {'machine': 30.0, 'correctness': 130.0, '0.5B': 90.0, '1.5B': 100.0, '7B': 120.0}
"""Of each part; what earlier ones leave is added."""


class Findings:
    """What has been found so far.

    Arguments:
        found: by part, then as the part names it.
    """

    def __init__(self) -> None:
        self.found: dict[str, Any] = {'parts': {}, 'correctness': {}, 'shapes': {}}
        self._start_s = time.monotonic()

    @property
    def run_time_s(self) -> float:
        """How long it has been running [s]."""
        return time.monotonic() - self._start_s

    def tell(self, value: Any, *path: str) -> None:
        """Keep a value under its names, and print it."""
        place = self.found
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value
        print(f'[{self.run_time_s:6.1f} s] {", ".join(path)}: {_said(value)}', file=sys.stderr)

    def write(self) -> None:
        """Write gpu.json."""
        RESULTS.mkdir(exist_ok=True)
        content = {**self.found, 'run_time_s': round(self.run_time_s, 1)}
        (RESULTS / 'gpu.json').write_text(json.dumps(content, indent=1) + '\n')


def main() -> int:
    """Run, write the JSON and the figure, print the tables; return 1 if anything is wrong."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    if reason := missing():
        print(f'bench-gpu: {reason}', file=sys.stderr)
        return 1
    return run('cuda')


def run(device: str, parts: tuple[str, ...] = tuple(LIMITS_S), total_s: float = TOTAL_S) -> int:
    """Run some parts on a device; see main().

    Arguments:
        total_s: of all parts; none is started with less than a second of it [s].
    """
    from benchmark.gpu.table import print_tables  # needs tabulate

    findings = Findings()
    for index, name in enumerate(parts):
        left_s = total_s - findings.run_time_s
        if left_s < 1.0:
            findings.tell('not begun: no time was left', 'parts', name)
            continue
        for_later_s = sum(LIMITS_S[later] for later in parts[index + 1 :])
        limit_s = min(left_s, max(LIMITS_S[name], left_s - for_later_s))
        run_part(name, device, limit_s, findings.tell)
        findings.write()
    wrong = list(disagreements(findings.found['correctness']))
    findings.found['disagreements'] = wrong
    findings.write()
    print_tables(findings.found)
    try:
        from benchmark.gpu.plot import plot

        plot(findings.found, RESULTS / 'gpu.png')
    except ImportError as error:
        print(f'no figure is drawn: {error} (pip install matplotlib)')
    print(f'{RESULTS / "gpu.json"}, gpu.png; {findings.run_time_s:.0f} s')
    ended = set(findings.found['parts'].values())
    return int(bool(wrong) or ended != {DONE})


def _said(value: Any) -> str:
    if isinstance(value, float):
        return f'{value:.4g}'
    if isinstance(value, dict):
        return ', '.join(f'{name} {_said(inner)}' for name, inner in value.items() if inner != '')
    return str(value)


if __name__ == '__main__':
    sys.exit(main())
