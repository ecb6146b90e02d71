"""Documents of real schemas from the real node, cut off at a random moment, or with its worker."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jsonschema
import psutil

from benchmark.constraints.asker import Asked, Asker
from benchmark.constraints.function_schemas import FunctionSchema
from timebill_ros.msg import Query
from timebill_ros.progress import Progress

SHORTEST_BUDGET_S, LONGEST_BUDGET_S = 0.15, 1.2
MAX_NEW_TOKENS = 200
_FOR_WANT = 'required values without a default are missing'
_ARMS = {'as_asked': False, 'fill_missing': True}


@dataclass
class Tally:
    """Counts replies."""

    outcomes: Counter[str] = field(default_factory=Counter)
    on_time: int = 0
    answered: int = 0
    valid: int = 0
    filled: int = 0
    broken: list[str] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)

    def add(self, asked: Asked, schema: Any) -> None:
        """Count one."""
        outcome = asked.outcome
        if outcome == 'KILLED':
            assert asked.reply is not None
            outcome += ', for want of a value' if _FOR_WANT in asked.reply.detail else ''
        self.outcomes[outcome] += 1
        self.on_time += asked.is_on_time
        if asked.reply is not None and not asked.is_on_time:
            self.late_ms.append((asked.received_ns - asked.deadline_ns) * 1e-6)
        if asked.is_answered:
            assert asked.reply is not None
            self.answered += 1
            self.filled += bool(asked.reply.filled)
            if is_valid(asked.reply.text, schema):
                self.valid += 1
            else:
                self.broken.append(asked.reply.text)

    def summary(self) -> dict[str, Any]:
        """Return what is said in the JSON."""
        number = self.outcomes.total()
        return {
            'n': number,
            'answered': self.answered,
            'valid': self.valid / self.answered if self.answered else None,
            'on_time': self.on_time / number if number else None,
            'filled': self.filled,
            'outcomes': dict(self.outcomes.most_common()),
            'broken': self.broken,
            'late_ms': self.late_ms,
        }


def is_valid(text: str, schema: Any) -> bool:
    """Return whether a text is a document of a schema."""
    try:
        jsonschema.Draft202012Validator(schema).validate(json.loads(text))
    except (ValueError, jsonschema.ValidationError):
        return False
    return True


def ask_all(asker: Asker, functions: Sequence[FunctionSchema], seed: int) -> dict[str, Any]:
    """Ask for each function's arguments, with and without fill_missing, in a drawn order.

    Both are asked with the same budget, drawn evenly by its logarithm.
    """
    draw = random.Random(f'{seed} budgets')
    tallies = {name: Tally() for name in _ARMS}
    refused: list[dict[str, str]] = []
    with Progress(len(functions), 'schemas') as progress:
        for function in functions:
            budget_s = _budget_s(draw)
            for arm in draw.sample(list(_ARMS), len(_ARMS)):
                asked = asker.ask(_query(function, _ARMS[arm]), budget_s)
                if asked.outcome == 'INVALID_QUERY':
                    assert asked.reply is not None
                    refused.append({'function': function.name, 'reason': asked.reply.detail})
                    break
                tallies[arm].add(asked, function.schema)
            progress.advance(1, function.name)
    both = [tally.summary() for tally in tallies.values()]
    answered = sum(tally.answered for tally in tallies.values())
    number = sum(summary['n'] for summary in both)
    return {
        'n': len(functions) - len(refused),
        'valid': sum(tally.valid for tally in tallies.values()) / answered if answered else None,
        'on_time': sum(tally.on_time for tally in tallies.values()) / number if number else None,
        'unsupported': len(refused),
        'unsupported_schemas': refused,
        'queries': number,
        'arms': dict(zip(tallies, both, strict=True)),
    }


def ask_with_the_worker_stopped(
    asker: Asker, node_pid: int, functions: Sequence[FunctionSchema], count: int, seed: int
) -> dict[str, Any]:
    """Ask so many queries whose worker is stopped before they are replied to.

    It is stopped at a moment that is drawn evenly over the budget, and goes on when the reply is
    there. A query that has its reply before that moment does not count.
    """
    draw = random.Random(f'{seed} stops')
    tally, tries = Tally(), 0
    with Progress(count, 'queries with the worker stopped') as progress:
        while tally.outcomes.total() < count and tries < 5 * count:
            function = functions[tries % len(functions)]
            tries += 1
            budget_s = _budget_s(draw)
            moment_s = draw.uniform(0.0, budget_s)
            sent = asker.send(_query(function, draw.random() < 0.5), budget_s)
            if asker.has_reply(sent[0], moment_s):
                asker.wait(*sent)
                continue
            worker = _worker(node_pid)
            worker.suspend()
            try:
                has_come = asker.has_reply(sent[0], 0.0)  # just before it was stopped
                asked = asker.wait(*sent)
            finally:
                worker.resume()
            if not has_come and asked.outcome != 'INVALID_QUERY':
                tally.add(asked, function.schema)
                progress.advance(1, asked.outcome)
    return {**tally.summary(), 'asked': tries}


def _worker(node_pid: int) -> psutil.Process:
    for child in psutil.Process(node_pid).children():
        if 'timebill_ros.worker' in child.cmdline():
            return child
    raise RuntimeError('the node has no worker')


def _budget_s(draw: random.Random) -> float:
    return SHORTEST_BUDGET_S * (LONGEST_BUDGET_S / SHORTEST_BUDGET_S) ** draw.random()


def _query(function: FunctionSchema, fills: bool) -> Query:
    return Query(
        prompt=function.prompt,
        max_new_tokens=MAX_NEW_TOKENS,
        overrun_policy=Query.PARTIAL,
        constraint_kind=Query.JSON_SCHEMA,
        constraint=function.text,
        fill_missing=fills,
    )
