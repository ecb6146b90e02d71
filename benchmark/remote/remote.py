"""Measures the contract with a remote engine: a real server, behind a network with faults.

Each fault is asked under both policies; a query draws its budget. What the server runs is
loaded from a GGUF file, by default the built-in model's: who answers best is not measured here.
"""

import argparse
import json
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmark.deadlines.node_process import private_domain, running_node
from benchmark.remote.asker import Asked, Asker, running_asker
from benchmark.remote.chat_server import chat_server
from benchmark.remote.faulty_proxy import NONE, Fault, FaultyProxy
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS
from benchmark.report.tables import screen_table
from timebill_ros.inference.loading.model_source import BUILT_IN, locate
from timebill_ros.msg import Query

SEED = 20261127
FAULTS = {
    'none': NONE,
    'delay 50 ms': Fault(delay_s=0.05),
    'delay 500 ms': Fault(delay_s=0.5),
    'silence': Fault(stall_after=0),
    'stall': Fault(stall_after=1500),
    'cut': Fault(cut_after=1500),
    'cut at once': Fault(cut_after=0),
    'garbage': Fault(garbage_after=0),
    'garbage later': Fault(garbage_after=1500),
    'closed': Fault(is_closed=True),
}
POLICIES = {'prefer': Query.PREFER, 'only': Query.ONLY}
_BUDGETS_S = (0.3, 3.0)
_ABORTS = 5
_IDLE = 0.3
"""A server that uses less of a core is idle."""
_LONG_QUESTION = 'Tell a very long story of a robot.'
_QUESTIONS = (
    'The gripper is closed and the cup is on the table. What is the next action?',
    'Battery at 12 percent, the dock is 40 metres away. Go on or dock?',
    'A person stands in the doorway. Say in a few words what to do.',
    'Name three things in a kitchen.',
)


@dataclass(frozen=True)
class Run:
    """A query of the benchmark, and what became of it."""

    fault: str
    policy: str
    asked: Asked


def main() -> int:
    """Measure; write remote.json; print a table."""
    parser = argparse.ArgumentParser(prog='bench-remote', description=__doc__)
    parser.add_argument(
        '--server-python', required=True, help='interpreter with llama-cpp-python[server]'
    )
    parser.add_argument('--model', type=Path, help='a GGUF file; default: the built-in model')
    parser.add_argument('--queries', type=int, default=200)
    parser.add_argument('--output', type=Path, default=RESULTS / 'remote.json')
    arguments = parser.parse_args()
    os.environ.update(private_domain())
    model = arguments.model or locate(BUILT_IN)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / 'server.log'
        with chat_server(arguments.server_python, model, 1, log) as server:
            proxy = FaultyProxy(server.port)
            with _serving(proxy) as asker:
                runs = list(_measured(asker, proxy, arguments.queries))
                proxy.fault = NONE
                aborted = [_is_aborted(asker, server.pid) for _ in range(_ABORTS)]
            proxy.close()
    found = {
        'machine': describe_machine(),
        'seed': SEED,
        'budgets_s': _BUDGETS_S,
        'servers': {
            'llama_cpp': {
                **_summary(runs),
                'aborted': len(aborted),
                'aborted_seen_by_server': sum(aborted),
            }
        },
        'faults': {name: _summary(run for run in runs if run.fault == name) for name in FAULTS},
        'policies': {
            name: _summary(run for run in runs if run.policy == name) for name in POLICIES
        },
    }
    arguments.output.write_text(json.dumps(found, indent=1) + '\n')
    print(_table(found))
    return 0


@contextmanager
def _serving(proxy: FaultyProxy) -> Iterator[Asker]:
    """Run the node, and an asker."""
    values = {
        'remote_policy': 'prefer',
        'remote_url': proxy.url,
        'remote_model': 'model',
        'remote_timeout': 3.0,
        'threads': 1,
    }
    arguments = [part for name, value in values.items() for part in ('-p', f'{name}:={value}')]
    with running_node({}, arguments), running_asker() as asker:
        asker.wait_until_served(_QUESTIONS[0])
        yield asker


def _measured(asker: Asker, proxy: FaultyProxy, queries: int) -> Iterator[Run]:
    draw = random.Random(SEED)
    plan = [(fault, policy) for fault in FAULTS for policy in POLICIES]
    for fault, policy in plan:
        _restore_trust(asker, proxy)
        proxy.fault = FAULTS[fault]
        for _ in range(-(-queries // len(plan))):
            yield Run(fault, policy, _ask(asker, draw, policy))


def _is_aborted(asker: Asker, server_pid: int) -> bool:
    """Return whether the server stops when a query that it answers comes to its deadline."""
    process = psutil.Process(server_pid)
    asker.ask(_LONG_QUESTION, 2.0, max_new_tokens=1000, remote_policy=Query.ONLY)
    time.sleep(1.0)
    before = process.cpu_times()
    time.sleep(1.0)
    after = process.cpu_times()
    return bool(after.user - before.user < _IDLE)


def _restore_trust(asker: Asker, proxy: FaultyProxy) -> None:
    """Let the link be trusted again, so that every fault meets a link that is used."""
    proxy.fault = NONE
    for _ in range(3):
        asker.ask(_QUESTIONS[0], 10.0, max_new_tokens=4, remote_policy=Query.ONLY)


def _ask(asker: Asker, draw: random.Random, policy: str) -> Asked:
    return asker.ask(
        draw.choice(_QUESTIONS),
        draw.uniform(*_BUDGETS_S),
        max_new_tokens=draw.randint(4, 32),
        remote_policy=POLICIES[policy],
    )


def _summary(runs: Iterator[Run] | list[Run]) -> dict[str, Any]:
    asked = [run.asked for run in runs]
    return {
        'queries': len(asked),
        'violations': sum(one.is_violation for one in asked),
        'answered_by': dict(Counter(one.answered_by for one in asked)),
        'outcomes': dict(Counter(one.outcome for one in asked)),
    }


def _table(found: dict[str, Any]) -> str:
    rows = [('fault', 'queries', 'violations', 'remote', 'local', 'nobody')]
    for name, values in {**found['faults'], **found['policies']}.items():
        by = values['answered_by']
        counts = [by.get(engine, 0) for engine in ('remote', 'local', 'nobody')]
        rows.append(
            (name, *(str(v) for v in (values['queries'], values['violations'], *counts)))
        )
    return screen_table(rows)
