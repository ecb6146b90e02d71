"""Measures what preemption gives: an asker in a hurry beside a patient one, on the real node.

The rule: two of three queries are urgent, the others are patient. An urgent one has two events in
its prompt, an answer of at most 8 tokens, and a time budget of 1.5 to 3 times its own time; a
patient one has 14 events, at most 48 tokens, and 4 to 10 times. 0.03 s are added to each budget
for publishing. They come from two askers. Each is about one of two standing contexts of about 500
tokens, which are in the cache. Arrivals are Poisson, at 0.5, 1 and 2 times the capacity for this
mixture; each of three blocks of 51 queries a load is asked once in each arm, in an order that is
drawn; the cache has room for about 18 of its prompts, so that an arm finds the contexts there,
and not the questions of the arm before. All queries are KILL. In one more arm, a third asker has
the node prepare one context after the other meanwhile.
"""

import json
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmark.deadlines.asker import Asker, Record
from benchmark.deadlines.contract import count_violations, violations
from benchmark.deadlines.deadline import wait_until_ready
from benchmark.deadlines.node_process import private_domain, running_node
from benchmark.deadlines.urgent_mix import CONTEXTS, KINDS, Kind, block, context
from benchmark.report.bootstrap import bootstrap_interval, paired_difference
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS
from benchmark.report.tables import screen_table
from timebill_ros.progress import Progress

SEED = 20261128
LOADS = (0.5, 1.0, 2.0)
BLOCKS, BLOCK_SIZE = 3, 51
ARMS = {
    'edf_preemptive': {'queue_order': 'edf', 'preemption': True},
    'edf_preemptive_preparing': {'queue_order': 'edf', 'preemption': True},
    'edf': {'queue_order': 'edf', 'preemption': False},
    'fifo': {'queue_order': 'fifo', 'preemption': False},
}
PREPARING = 'edf_preemptive_preparing'
PREPARED = tuple(context(seed) for seed in range(100, 140))
PAUSE_S = 0.5
_ROUNDS = 5
_GENEROUS_S = 20.0


def main() -> int:
    """Run, write the JSON, print the table."""
    start_s, machine, draw = time.monotonic(), describe_machine(), random.Random(SEED)
    environment, read = private_domain(), 0
    with running_node(environment, keeps_prompts=True), Asker(environment) as asker:
        wait_until_ready(asker)
        own_s = {kind.name: _own_s(asker, kind, draw) for kind in KINDS}
        total = len(LOADS) * BLOCKS * BLOCK_SIZE * len(ARMS)
        with Progress(total, 'queries') as progress:
            for load in LOADS:
                for number in range(BLOCKS):
                    queries = block(BLOCK_SIZE, load, own_s, draw)
                    for arm in draw.sample(sorted(ARMS), len(ARMS)):
                        asker.set_parameters(ARMS[arm])
                        if arm == PREPARING:
                            asker.start_preparing(PREPARED, PAUSE_S)
                        prefix = f'{load:g}/{arm}/{number}'
                        asker.ask([replace(ask, id=f'{prefix}/{ask.id}') for ask in queries])
                        if arm == PREPARING:
                            read += asker.stop_preparing()
                        progress.advance(len(queries), f'{load:g} x capacity, {arm}')
        records, stray = asker.finish()
    found = [violations(record) for record in records]
    result: dict[str, Any] = {
        'load': {f'{load:g}': by_arm(records, f'{load:g}') for load in LOADS},
        'own_s': own_s,
        'contexts_prepared': read,
        'contract_violations': sum(map(bool, found)),
        'violations': count_violations(found),
        'stray_replies': stray,
        'seed': SEED,
        'run_time_s': round(time.monotonic() - start_s, 1),
        'machine': machine,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / 'preemption.json').write_text(json.dumps(result, indent=2) + '\n')
    print(_table(result['load']))
    print(
        f'{len(records)} queries, {result["contract_violations"]} broke the contract; '
        f'{read} contexts were prepared meanwhile; '
        f'{RESULTS / "preemption.json"}; {result["run_time_s"]} s'
    )
    return 0


def _own_s(asker: Asker, kind: Kind, draw: random.Random) -> float:
    """Return how long a query of a kind takes by itself, from sending to the reply [s].

    The first ones read the contexts, and do not count.
    """
    asks = [kind.ask(f'own-{kind.name}-{turn}', _GENEROUS_S, draw) for turn in range(_ROUNDS)]
    for number, standing in enumerate(CONTEXTS):
        asker.time(replace(asks[0], id=f'warm-{kind.name}-{number}', context=standing))
    return statistics.median(asker.time(replace(ask, group='own')) for ask in asks)


def by_arm(records: Sequence[Record], load: str) -> dict[str, Any]:
    """Return the shares on time at a load, by arm, and what preemption and preparing change."""
    on_time: dict[str, dict[str, dict[str, float]]] = {}
    for arm in ARMS:
        prefix = f'{load}/{arm}/'
        of_arm = [record for record in records if record.id.startswith(prefix)]
        on_time[arm] = {
            group: {
                record.id.removeprefix(prefix): float(_is_on_time(record))
                for record in of_arm
                if group in (record.group, 'all')
            }
            for group in ('urgent', 'all')
        }
    found: dict[str, Any] = {arm: _shares(groups) for arm, groups in on_time.items()}
    for name, ours, theirs in (
        ('preemption_gains', 'edf_preemptive', 'edf'),
        ('preparing_gains', PREPARING, 'edf_preemptive'),
    ):
        found[name] = {
            group: paired_difference(
                list(on_time[ours][group].values()),
                [on_time[theirs][group][query] for query in on_time[ours][group]],
                SEED,
            )
            for group in ('urgent', 'all')
        }
    return found


def _shares(groups: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Return the shares on time, with their 95 % bootstrap intervals and how many there were."""
    found: dict[str, Any] = {}
    for group, values in groups.items():
        sample = np.array(list(values.values()))
        found[f'{group}_on_time'] = float(sample.mean())
        found[f'{group}_interval'] = bootstrap_interval(np.mean, (sample,), SEED)
    return {**found, 'n': len(groups['all']), 'urgent': len(groups['urgent'])}


def _is_on_time(record: Record) -> bool:
    reply = record.replies[0] if record.replies else None
    return (
        reply is not None
        and reply.outcome == 'ANSWERED'
        and reply.deadline_met
        and reply.received_ns <= record.deadline_ns
    )


def _table(loads: dict[str, Any]) -> str:
    rows = [('on time: urgent, all', *(f'{load} x' for load in loads))]
    for arm in ARMS:
        cells = [
            f'{_cell(found[arm], "urgent")}, {_cell(found[arm], "all")}'
            for found in loads.values()
        ]
        rows.append((arm, *cells))
    return screen_table(rows)


def _cell(shares: dict[str, Any], group: str) -> str:
    low, high = shares[f'{group}_interval']
    return f'{shares[f"{group}_on_time"]:.0%} ({100 * low:.0f}-{100 * high:.0f})'
