"""Does a predicted length help? The same queries, planned with three lengths, by the node.

The lengths are: the predicted one; max_new_tokens, as without a predictor; and the true one, from
an answer to the same query without a tight budget. All prompts are test prompts: the predictor was
not trained on them.
"""

import contextlib
import json
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.task import Future

from benchmark.deadlines.node_process import private_domain, running_node
from benchmark.report.bootstrap import paired_difference
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS
from benchmark.report.tables import screen_table
from timebill_ros.client import Reply, TimeBillClient
from timebill_ros.core.outcome import FinishReason
from timebill_ros.progress import Progress
from timebill_ros.training.length_data import FILE, LengthData, only_folder
from timebill_ros.training.length_file import read_lengths
from timebill_ros.training.prompt_packages import all_fetched
from timebill_ros.training.prompt_set import prompt_set

SEED = 0
PROMPTS = 100
MAX_NEW_TOKENS = 1024
GENEROUS_S = 55.0
SHORTEST_FACTOR, LONGEST_FACTOR = 0.8, 2.0
"""Budgets: so many times what the unbudgeted answer has taken, evenly on a logarithmic scale."""


@dataclass(frozen=True)
class Asked:
    """What became of a query in one arm.

    Arguments:
        arm: 'predicted', 'longest' or 'oracle'.
        completed: answered whole, in time.
        outcome: the finish reason, or why it was missed.
        eviction_ratio: alpha; NaN: it was not planned.
        predicted_tokens, worst_case_tokens, response_tokens: of the bill.
    """

    arm: str
    completed: bool
    outcome: str
    eviction_ratio: float
    predicted_tokens: int
    worst_case_tokens: int
    response_tokens: int


def main() -> int:
    """Ask, count, report; return the exit status."""
    start_s, machine = time.monotonic(), describe_machine()
    try:
        prompts = _prompts()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    environment = private_domain()
    os.environ.update(environment)
    with _client_node() as node, contextlib.ExitStack() as nodes:
        clients = {}
        for name, predictor in (('predicted', 'auto'), ('longest', 'none')):
            arguments = ['-r', f'__ns:=/{name}', '-p', f'length_predictor:={predictor}']
            nodes.enter_context(running_node(environment, arguments))
            clients[name] = TimeBillClient(node, f'/{name}/timebill')
            # One after the other: the first may have to measure the machine, alone on it.
            while not clients[name].ask('Is the way free?', GENEROUS_S).wait().answered:
                time.sleep(1.0)
        asked = _ask_all(clients, prompts)
        for client in clients.values():
            client.close()
    report = {
        'arms': {arm: _figures(asked, arm) for arm in ('predicted', 'longest', 'oracle')},
        'predicted_minus': {arm: _differences(asked, arm) for arm in ('longest', 'oracle')},
        'budgets': f'{SHORTEST_FACTOR} to {LONGEST_FACTOR} x the unbudgeted time',
        'n': len(asked),
        'seed': SEED,
        'queries': [[asdict(row) for row in rows] for rows in asked],
        'machine': machine,
        'run_time_s': round(time.monotonic() - start_s, 1),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / 'planned_lengths.json').write_text(json.dumps(report, indent=2) + '\n')
    print(_table(report))
    return 0


def _ask_all(clients: dict[str, TimeBillClient], prompts: list[str]) -> list[list[Asked]]:
    chance = random.Random(SEED)
    low, high = np.log(SHORTEST_FACTOR), np.log(LONGEST_FACTOR)
    asked = []
    with Progress(len(prompts), 'prompts') as progress:
        for prompt in prompts:
            factor = float(np.exp(chance.uniform(low, high)))
            free = _ask(clients['longest'], prompt, GENEROUS_S, MAX_NEW_TOKENS)
            progress.advance(1, _outcome(free))
            if not free.answered:
                continue
            budget_s = factor * free.message.bill.total_time
            true_tokens = int(free.message.bill.response_tokens)
            arms = {
                'predicted': ('predicted', MAX_NEW_TOKENS),
                'longest': ('longest', MAX_NEW_TOKENS),
                'oracle': ('longest', true_tokens),
            }
            rows = [
                _row(arm, _ask(clients[client], prompt, budget_s, tokens))
                for arm, (client, tokens) in chance.sample(sorted(arms.items()), len(arms))
            ]
            asked.append(sorted(rows, key=lambda row: row.arm))
    return asked


def _ask(client: TimeBillClient, prompt: str, budget_s: float, max_new_tokens: int) -> Reply:
    return client.ask(prompt, budget_s, max_new_tokens=max_new_tokens).wait()


def _outcome(reply: Reply) -> str:
    if reply.answered:
        return FinishReason(reply.message.finish_reason).name
    return reply.reason


def _row(arm: str, reply: Reply) -> Asked:
    bill = reply.message.bill
    return Asked(
        arm=arm,
        completed=reply.in_time,
        outcome=_outcome(reply),
        eviction_ratio=bill.eviction_ratio if bill.kept_tokens else float('nan'),
        predicted_tokens=int(bill.predicted_response_tokens),
        worst_case_tokens=int(bill.worst_case_response_tokens),
        response_tokens=int(bill.response_tokens),
    )


def _figures(asked: list[list[Asked]], arm: str) -> dict[str, Any]:
    rows = [row for query in asked for row in query if row.arm == arm]
    planned = [row for row in rows if not np.isnan(row.eviction_ratio)]
    ended = [row for row in planned if row.completed]
    return {
        'completion': float(np.mean([row.completed for row in rows])),
        'mean_alpha': float(np.mean([row.eviction_ratio for row in planned])),
        'evicted': float(np.mean([row.eviction_ratio > 0 for row in planned])),
        'mean_predicted_tokens': float(np.mean([row.predicted_tokens for row in planned])),
        'covered': float(np.mean([r.response_tokens <= r.worst_case_tokens for r in ended])),
        'outcomes': dict(Counter(row.outcome for row in rows)),
        'planned': len(planned),
        'n': len(rows),
    }


def _differences(asked: list[list[Asked]], arm: str) -> dict[str, Any]:
    """Return by how much more is completed by the predicted length, with its 95 % interval."""
    completed = {
        name: [float(row.completed) for query in asked for row in query if row.arm == name]
        for name in ('predicted', arm)
    }
    difference = paired_difference(completed['predicted'], completed[arm], SEED)
    return {'completion': difference['mean'], 'interval': difference['interval']}


def _prompts() -> list[str]:
    """Return test prompts, in the order of the set, any beginning of which is a fair sample."""
    key, records = read_lengths(only_folder() / FILE)
    data = LengthData(key, records, np.zeros(0, np.float32))  # a split needs no states
    chosen = {records[row].sha256 for row in data.random_split().test}
    prompts = prompt_set(all_fetched(), SEED)
    texts = [prompt.text for prompt in prompts if prompt.sha256 in chosen]
    return texts[:PROMPTS]


@contextlib.contextmanager
def _client_node() -> Iterator[Node]:
    rclpy.init()
    node = Node('planned_lengths')
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    ended: Future[None] = Future()
    spinning = threading.Thread(
        target=executor.spin_until_future_complete, args=(ended,), daemon=True
    )
    spinning.start()
    try:
        yield node
    finally:
        ended.set_result(None)
        spinning.join(5.0)
        executor.shutdown()
        rclpy.try_shutdown()


def _table(report: dict[str, Any]) -> str:
    rows = [('', 'completed', 'mean alpha', 'evicted', 'N_hat', 'covered', 'outcomes')]
    for arm, row in report['arms'].items():
        rows.append(
            (
                arm,
                f'{row["completion"]:.1%}',
                f'{row["mean_alpha"]:.3f}',
                f'{row["evicted"]:.0%}',
                f'{row["mean_predicted_tokens"]:.0f}',
                f'{row["covered"]:.0%}',
                ', '.join(f'{count} {outcome}' for outcome, count in row['outcomes'].items()),
            )
        )
    lines = [screen_table(rows)]
    for arm, row in report['predicted_minus'].items():
        low, high = row['interval']
        lines.append(
            f'predicted - {arm}: {100 * row["completion"]:+.1f} points '
            f'({100 * low:+.1f}, {100 * high:+.1f}), n = {report["n"]}'
        )
    return '\n'.join(lines)
