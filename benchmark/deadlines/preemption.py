"""Measures what preemption gives: an asker in a hurry beside a patient one, on the real node.

The rule: a query is urgent or patient with the same probability. An urgent one has two events in
its prompt, an answer of at most 8 tokens, and a time budget of 1.5 to 3 times its own time; a
patient one has 14 events, at most 96 tokens, and 4 to 10 times. 0.03 s are added to each budget
for publishing. Arrivals are Poisson, at 0.5, 1 and 2 times the capacity for this mixture; each of
two blocks of 30 queries a load is asked once in each arm, in an order that is drawn. All queries
are KILL.
"""

import json
import random
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from benchmark.deadlines.asker import Ask, Asker, Record
from benchmark.deadlines.contract import count_violations, violations
from benchmark.deadlines.deadline import wait_until_ready
from benchmark.deadlines.load.arrivals import poisson
from benchmark.deadlines.node_process import private_domain, running_node
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS
from benchmark.report.tables import screen_table
from timebill_ros.progress import Progress

SEED = 20261128
LOADS = (0.5, 1.0, 2.0)
BLOCKS, BLOCK_SIZE = 2, 30
ARMS = {
    'edf_preemptive': {'queue_order': 'edf', 'preemption': True},
    'edf': {'queue_order': 'edf', 'preemption': False},
    'fifo': {'queue_order': 'fifo', 'preemption': False},
}
_OVERHEAD_S = 0.03
_ROUNDS = 5
_GENEROUS_S = 20.0
_EVENT = "At {time} o'clock the robot saw a pallet in aisle {aisle}."


@dataclass(frozen=True)
class Kind:
    """A kind of query.

    Arguments:
        budgets: least and largest time budget, as multiples of its own time.
    """

    name: str
    events: int
    task: str
    max_new_tokens: int
    budgets: tuple[float, float]

    def prompt(self, draw: random.Random) -> str:
        """Return a prompt; its length is always about the same."""
        events = [
            _EVENT.format(time=draw.randrange(10, 24), aisle=draw.randrange(10, 99))
            for _ in range(self.events)
        ]
        return ' '.join([*events, self.task])


KINDS = (
    Kind('urgent', 2, 'Is it safe to go on?', 8, (1.5, 3.0)),
    Kind('patient', 14, 'Write a long report for the operator.', 96, (4.0, 10.0)),
)


def main() -> int:
    """Run, write the JSON, print the table."""
    start_s, machine, draw = time.monotonic(), describe_machine(), random.Random(SEED)
    environment = private_domain()
    with running_node(environment), Asker(environment) as asker:
        wait_until_ready(asker)
        own_s = {kind.name: _own_s(asker, kind, draw) for kind in KINDS}
        total = len(LOADS) * BLOCKS * BLOCK_SIZE * len(ARMS)
        with Progress(total, 'queries') as progress:
            for load in LOADS:
                for block in range(BLOCKS):
                    queries = _block(load, own_s, draw)
                    for arm in draw.sample(sorted(ARMS), len(ARMS)):
                        asker.set_parameters(ARMS[arm])
                        prefix = f'{load:g}/{arm}/{block}'
                        asker.ask([replace(ask, id=f'{prefix}/{ask.id}') for ask in queries])
                        progress.advance(len(queries), f'{load:g} x capacity, {arm}')
        records, stray = asker.finish()
    found = [violations(record) for record in records]
    result: dict[str, Any] = {
        'load': {f'{load:g}': _by_arm(records, f'{load:g}') for load in LOADS},
        'own_s': own_s,
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
        f'{RESULTS / "preemption.json"}; {result["run_time_s"]} s'
    )
    return 0


def _own_s(asker: Asker, kind: Kind, draw: random.Random) -> float:
    """Return how long a query of a kind takes by itself, from sending to the reply [s]."""
    asks = (
        Ask(f'own-{kind.name}-{turn}', 'own', kind.prompt(draw), _GENEROUS_S, kind.max_new_tokens)
        for turn in range(_ROUNDS)
    )
    return statistics.median(asker.time(ask) for ask in asks)


def _block(load: float, own_s: dict[str, float], draw: random.Random) -> list[Ask]:
    mean_s = statistics.mean(own_s.values())
    asks = []
    for place, at_s in enumerate(poisson(BLOCK_SIZE, load / mean_s, draw)):
        kind = draw.choice(KINDS)
        budget_s = draw.uniform(*kind.budgets) * own_s[kind.name] + _OVERHEAD_S
        asks.append(
            Ask(
                str(place),
                kind.name,
                kind.prompt(draw),
                budget_s,
                kind.max_new_tokens,
                at_s=at_s,
            )
        )
    return asks


def _by_arm(records: Iterable[Record], load: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for arm in ARMS:
        of_arm = [record for record in records if record.id.startswith(f'{load}/{arm}/')]
        urgent = [record for record in of_arm if record.group == 'urgent']
        found[arm] = {
            'urgent_on_time': sum(map(_is_on_time, urgent)) / len(urgent),
            'all_on_time': sum(map(_is_on_time, of_arm)) / len(of_arm),
            'n': len(of_arm),
            'urgent': len(urgent),
        }
    return found


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
            f'{found[arm]["urgent_on_time"]:.0%}, {found[arm]["all_on_time"]:.0%}'
            for found in loads.values()
        ]
        rows.append((arm, *cells))
    return screen_table(rows)
