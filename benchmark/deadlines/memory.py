"""Measures whether the node's memory grows: thousands of short queries, failing askers.

Meanwhile two subscribers never read; one of them is stopped. Half-way, the asker is killed while
its queries are open, and another asker is started.
"""

import time
from dataclasses import dataclass, field

import psutil

from benchmark.deadlines.asker import Ask, Asker, Record
from benchmark.deadlines.contract import count_violations, violations
from benchmark.deadlines.short_queries import short_queries
from benchmark.deadlines.silent_subscriber import silent_subscriber
from benchmark.report.slope import slope_with_interval
from timebill_ros.progress import Progress

QUERIES = 9200
WARM_UP = 4000
"""So many queries are asked before a line is fitted: the middleware's pools fill until then."""
_BATCH = 20
_SAMPLE_EVERY = 100
_ORPHANS_S = 1.0


@dataclass
class MemoryRun:
    """What was asked, and how large the node's process was.

    Arguments:
        samples: number of queries so far, and resident memory [kB].
        records: of the askers that could tell.
        overheard: terminal replies to each query that was open when its asker was killed.
    """

    samples: list[tuple[int, float]] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    overheard: dict[str, int] = field(default_factory=dict)

    @property
    def violations(self) -> list[list[str]]:
        """How the contract was broken, for each query."""
        orphans = [
            [] if count == 1 else ['missing' if count == 0 else 'duplicate']
            for count in self.overheard.values()
        ]
        return [*map(violations, self.records), *orphans]


def run_memory(
    environment: dict[str, str], pid: int, listener: Asker, seed: int, queries: int = QUERIES
) -> MemoryRun:
    """Ask, and watch the node's process.

    Arguments:
        environment: the node's ROS domain is in it.
        pid: the node's process.
        listener: an asker that lives on, and hears what the killed one cannot.
        queries: how many are asked, those of the warm-up included.
    """
    run, process = MemoryRun(), psutil.Process(pid)
    with (
        silent_subscriber(environment, is_stopped=False),
        silent_subscriber(environment, is_stopped=True),
        Progress(queries, 'short queries') as progress,
    ):
        for half in ('killed', 'restarted'):
            with Asker(environment, asker=half) as asker:
                _ask_half(asker, half, queries // 2, seed, run, process, progress)
                run.records += asker.finish()[0]
                if half == 'killed':
                    _kill_with_open_queries(asker, listener, run)
    return run


def summarise_memory(run: MemoryRun, warm_up: int = WARM_UP) -> dict[str, object]:
    """Return the JSON's keys: the slope of resident memory, and what it was measured on."""
    fitted = [(count, rss_kb) for count, rss_kb in run.samples if count >= warm_up]
    counts, rss_kb = zip(*fitted, strict=True)
    slope, interval = slope_with_interval([count / 1000 for count in counts], list(rss_kb))
    return {
        'memory_slope_kb_per_1000': round(slope, 2),
        'memory': {
            'slope_interval_kb_per_1000': [round(bound, 2) for bound in interval],
            'queries': len(run.violations),
            'queries_fitted': counts[-1] - counts[0],
            'rss_mb_first': round(rss_kb[0] / 1000, 2),
            'rss_mb_last': round(rss_kb[-1] / 1000, 2),
            'outcomes': _outcomes(run.records),
            'open_when_killed': len(run.overheard),
            'violations': count_violations(run.violations),
            'samples': [[count, round(kb)] for count, kb in run.samples],
        },
    }


def _ask_half(
    asker: Asker,
    half: str,
    count: int,
    seed: int,
    run: MemoryRun,
    process: psutil.Process,
    progress: Progress,
) -> None:
    asks, before = short_queries(seed, half, count), len(run.records)
    for first in range(0, count, _BATCH):
        batch = asks[first : first + _BATCH]
        asker.ask(batch)
        if (first + len(batch)) % _SAMPLE_EVERY == 0:
            run.samples.append((before + first + len(batch), process.memory_info().rss / 1000))
        progress.advance(len(batch), f'asker {half}')


def _kill_with_open_queries(asker: Asker, listener: Asker, run: MemoryRun) -> None:
    orphans = [
        Ask(f'orphan-{number}', 'orphan', 'Tell a long story.', _ORPHANS_S, 400)
        for number in range(_BATCH)
    ]
    asker.ask(orphans, wait=False)
    time.sleep(0.1)  # they must have reached the node
    asker.kill()
    time.sleep(_ORPHANS_S + 0.5)
    heard = listener.overheard()
    run.overheard = {ask.id: heard.get(ask.id, 0) for ask in orphans}


def _outcomes(records: list[Record]) -> dict[str, int]:
    found: dict[str, int] = {}
    for record in records:
        for reply in record.replies:
            found[reply.outcome] = found.get(reply.outcome, 0) + 1
    return found
