"""Measures whether the contract holds for goals of the action, as for messages on the topic.

First, 200 goals are cancelled at random moments: while they wait, in the prefill, and while the
model writes. Then come the queries of the deadline benchmark, on the machine as it is and while a
process at the same priority keeps every core busy, every second one as a goal. The executors of
the node and of the asker pass results on, so these come after the replies on the topics. How long
after is told by how many queries were asked at once.
"""

import dataclasses
import json
import random
import time
from collections import Counter
from typing import Any

import psutil

from benchmark.deadlines.asker import Ask, Asker, Record
from benchmark.deadlines.contract import count_violations, is_result_late, violations
from benchmark.deadlines.deadline import CONDITIONS, wait_until_ready
from benchmark.deadlines.node_process import private_domain, running_node
from benchmark.deadlines.query_mix import QueryMix, Section
from benchmark.deadlines.summary import distribution
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS
from benchmark.report.tables import screen_table
from timebill_ros.progress import Progress

SEED = 20261127
CANCELLED_GOALS = 200
_PERIOD_S = 0.4
_WORDS = ('shelf', 'aisle', 'pallet', 'scanned', 'moved', 'box')
_TASK = 'Write the whole plan, step by step.'


def main() -> int:
    """Run, write the JSON, print the table."""
    start_s, machine = time.monotonic(), describe_machine()
    environment = private_domain()
    with running_node(environment) as node, Asker(environment) as asker:
        wait_until_ready(asker)
        workers = _workers(node.pid)
        asker.ask(cancelled_goals(SEED, CANCELLED_GOALS))
        _ask_mix(asker)
        records, stray = asker.finish()
        lost_workers = len(set(workers) - set(_workers(node.pid)))
    parts = {
        part: [record for record in records if record.id.startswith(part)]
        for part in ('cancelled', *CONDITIONS)
    }
    result = {
        **{part: summarise(of_part) for part, of_part in parts.items()},
        'lost_workers': lost_workers,
        'stray_replies': stray,
        'seed': SEED,
        'run_time_s': round(time.monotonic() - start_s, 1),
        'machine': machine,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / 'goals.json').write_text(json.dumps(result, indent=2) + '\n')
    _print_table({part: summarise(of_part) for part, of_part in parts.items()})
    print(f'worker processes lost: {lost_workers}; stray replies: {stray}')
    print(f'{RESULTS / "goals.json"}; {result["run_time_s"]} s')
    return 0


def cancelled_goals(seed: int, count: int) -> list[Ask]:
    """Return goals that are cancelled at random moments, now and then behind each other."""
    draw = random.Random(seed)
    asks = []
    for number in range(count):
        log = ' '.join(draw.choice(_WORDS) for _ in range(draw.choice((0, 200, 1500))))
        asks.append(
            Ask(
                f'cancelled-{number:05}',
                'cancelled',
                f'{log} {_TASK}',
                draw.uniform(3.0, 6.0),
                draw.choice((4, 200)),
                at_s=number * _PERIOD_S,
                as_goal=True,
                cancel_after_s=draw.choice((draw.uniform(0.0, 0.05), draw.uniform(0.0, 2.5))),
            )
        )
    return asks


def summarise(records: list[Record]) -> dict[str, Any]:
    """Return the figures of a part; times in milliseconds."""
    goals = [record for record in records if record.as_goal]
    found = [violations(record) for record in records]
    results = [result for record in goals for result in record.results]
    return {
        'queries': len(records),
        'goals': len(goals),
        'results': len(results),
        'contract_violations': sum(map(bool, found)),
        'violations': count_violations(found),
        'outcomes': dict(Counter(result.outcome for result in results).most_common()),
        'cancelled_in': dict(
            Counter(result.phase for result in results if result.outcome == 'CANCELLED')
        ),
        'by_batch_size': {
            str(size): _of_batches([record for record in goals if record.batch_size == size])
            for size in sorted({record.batch_size for record in goals})
        },
    }


def _of_batches(goals: list[Record]) -> dict[str, Any]:
    """Return when the results of goals came that were sent with as many others."""
    return {
        'results_after_deadline': sum(is_result_late(record) for record in goals),
        'result_after_reply_ms': distribution(
            [
                (result.received_ns - record.replies[0].stamp_ns) * 1e-6
                for record in goals
                for result in record.results
                if record.replies
            ]
        ),
        'reply_after_stamp_ms': distribution(
            [
                (reply.received_ns - reply.stamp_ns) * 1e-6
                for record in goals
                for reply in record.replies
            ]
        ),
    }


def _workers(pid: int) -> list[int]:
    return [
        child.pid
        for child in psutil.Process(pid).children()
        if 'timebill_ros.worker' in child.cmdline()
    ]


def _ask_mix(asker: Asker) -> None:
    mixes = {condition: QueryMix(SEED, condition).sections() for condition in CONDITIONS}
    total = sum(section.size() for sections in mixes.values() for section in sections)
    with Progress(total, 'queries') as progress:
        for sections in zip(*mixes.values(), strict=True):
            for (condition, load), section in zip(CONDITIONS.items(), sections, strict=True):
                with load():
                    _ask_section(asker, section)
                progress.advance(section.size(), f'{condition}, {section.name}')


def _ask_section(asker: Asker, section: Section) -> None:
    count = 0
    for batch in section.batches:
        asks = []
        for ask in batch.asks:
            count += 1
            asks.append(dataclasses.replace(ask, as_goal=count % 2 == 0))
        asker.ask(asks, batch.wait)
        time.sleep(batch.pause_s)
    asker.wait()


def _print_table(parts: dict[str, dict[str, Any]]) -> None:
    columns = ('queries', 'goals', 'results', 'contract_violations')
    rows: list[tuple[str, ...]] = [('', *columns)]
    rows += [
        (part, *(str(figures[column]) for column in columns)) for part, figures in parts.items()
    ]
    print(screen_table(rows))
    times: list[tuple[str, ...]] = [
        ('result after the reply [ms]', 'n', 'p50', 'p99', 'max', 'late')
    ]
    for part, figures in parts.items():
        print(f'{part}: {figures["outcomes"]}; cancelled in {figures["cancelled_in"]}')
        if figures['violations']:
            print(f'{part}: violations {figures["violations"]}')
        for size, of_batch in figures['by_batch_size'].items():
            after_ms, late = of_batch['result_after_reply_ms'], of_batch['results_after_deadline']
            cells = (f'{after_ms[name]:g}' for name in ('n', 'p50', 'p99', 'max'))
            times.append((f'{part}, {size} at once', *cells, str(late)))
    print(screen_table(times))
