"""The contract with a real server: queries of all policies, behind a network with faults."""

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.remote.asker import Asked, Asker
from benchmark.remote.chat_server import ChatServer
from benchmark.remote.faulty_proxy import NONE, Fault, FaultyProxy, faulty_proxy
from benchmark.remote.node_and_asker import WARM_UP, node_and_asker
from benchmark.report.machine import describe_machine
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
POLICIES = {
    'off': Query.OFF,
    'prefer': Query.PREFER,
    'race': Query.RACE,
    'only': Query.ONLY,
}
BUDGETS_S = (0.3, 3.0)
_ABORTS = 5
_SCHEMA = '{"type": "object", "properties": {"action": {"type": "string", "maxLength": 20}}, '
_SCHEMA += '"required": ["action"], "additionalProperties": false}'
_LONG_QUESTION = 'Tell a very long story of a robot.'
_QUESTIONS = (
    WARM_UP,
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


def measure_contract(
    server_of: Callable[[Path], AbstractContextManager[ChatServer]], queries: int
) -> dict[str, Any]:
    """Return what became of the queries, and of queries that were aborted.

    Arguments:
        server_of: runs the server, with a file for what it prints.
        queries: about how many; each fault and policy has as many as others.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        server_of(Path(folder) / 'log') as server,
        faulty_proxy(server.port) as proxy,
        node_and_asker(proxy.url, server.model) as asker,
    ):
        forms = _answers_of_a_form(asker)
        runs = list(_measured(asker, proxy, queries))
        proxy.fault = NONE
        aborted = [_is_aborted(asker, server) for _ in range(_ABORTS)]
    return {
        'machine': describe_machine(),
        'seed': SEED,
        'budgets_s': BUDGETS_S,
        **summary(runs),
        'answers_of_a_form': forms,
        'aborted': len(aborted),
        'aborted_seen_by_server': sum(aborted),
        'faults': {name: summary(run for run in runs if run.fault == name) for name in FAULTS},
        'policies': {
            name: summary(run for run in runs if run.policy == name) for name in POLICIES
        },
    }


def summary(runs: Iterable[Run]) -> dict[str, Any]:
    """Return how queries ended, and who answered them."""
    asked = [run.asked for run in runs]
    return {
        'queries': len(asked),
        'violations': sum(one.is_violation for one in asked),
        'late_s': [round(one.late_s, 4) for one in asked if one.late_s],
        'answered_by': dict(Counter(one.answered_by for one in asked)),
        'outcomes': dict(Counter(one.outcome for one in asked)),
    }


def _measured(asker: Asker, proxy: FaultyProxy, queries: int) -> Iterator[Run]:
    draw = random.Random(SEED)
    plan = [(fault, policy) for fault in FAULTS for policy in POLICIES]
    for fault, policy in plan:
        if policy != 'off':
            _restore_trust(asker, proxy)
        proxy.fault = FAULTS[fault]
        for _ in range(-(-queries // len(plan))):
            yield Run(fault, policy, _ask(asker, draw, policy))


def _answers_of_a_form(asker: Asker) -> dict[str, str]:
    """Return how the server does with each kind of constraint."""
    forms = {
        'JSON_SCHEMA': {'constraint_kind': Query.JSON_SCHEMA, 'constraint': _SCHEMA},
        'REGEX': {'constraint_kind': Query.REGEX, 'constraint': '(left|right) [0-9]{2}'},
        'CHOICES': {'constraint_kind': Query.CHOICES, 'choices': ['go on', 'dock']},
    }
    fields = {'max_new_tokens': 48, 'remote_policy': Query.ONLY}
    return {
        name: asker.ask(_QUESTIONS[1], 60.0, **fields, **form).outcome
        for name, form in forms.items()
    }


def _is_aborted(asker: Asker, server: ChatServer) -> bool:
    """Return whether the server stops when a query that it answers comes to its deadline."""
    asker.ask(_LONG_QUESTION, 2.0, max_new_tokens=1000, remote_policy=Query.ONLY)
    time.sleep(1.0)
    return server.is_idle()


def _restore_trust(asker: Asker, proxy: FaultyProxy) -> None:
    """Let the link be trusted again, so that every fault meets a link that is used."""
    proxy.fault = NONE
    for _ in range(3):
        asker.ask(_QUESTIONS[0], 10.0, max_new_tokens=4, remote_policy=Query.ONLY)


def _ask(asker: Asker, draw: random.Random, policy: str) -> Asked:
    return asker.ask(
        draw.choice(_QUESTIONS),
        draw.uniform(*BUDGETS_S),
        max_new_tokens=draw.randint(4, 32),
        remote_policy=POLICIES[policy],
    )
