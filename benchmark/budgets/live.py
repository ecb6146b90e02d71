"""Are the scores of `make bench-closed_loop` those of the node? Its policies, live.

Rules, written down before the run:

- The standing regime: the prompt but for its last line is the context, and was prepared. The same
  four tasks as in bench-closed_loop, other items (SEED).
- A node for each arm, all of them running, on the built-in model. One query at a time, KILL, arms
  and budgets in an order that is drawn for each item. Each task is an asker with each budget, so
  lengths are learned from the items before, within the same budget; what all askers' answers tell
  counts as two answers. The nodes share a cache folder that is new. What was read of a question is
  kept, too: behind the first of its budgets, each arm reads 16 tokens of it.
- Budgets: in which 40, 60 and 80 % of the answers to the development items came, unevicted, with
  time enough.
- A late answer scores 0. What is reported: mean scores, completion, and the difference of each arm
  to closed_loop, paired, with its 95 % interval.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import rclpy
import torch
from rclpy.executors import SingleThreadedExecutor
from transformers import AutoTokenizer

from benchmark.budgets.live_askers import ARMS, CLOSED, ENOUGH_S, MADE_UP, SHARES, Askers, Given
from benchmark.budgets.tasks import task_items
from benchmark.budgets.tasks.task import Item
from benchmark.deadlines.node_process import private_domain, running_node
from benchmark.report.bootstrap import paired_difference
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS
from benchmark.report.tables import screen_table
from timebill_ros.inference.loading.gguf_cache import converted_folder, gguf_hash
from timebill_ros.inference.loading.model_source import BUILT_IN, locate
from timebill_ros.progress import Progress

SEED, DEVELOPMENT_SEED, DEVELOPMENT_ITEMS = 2326, 2426, 4


def main() -> int:
    """Ask, write the JSON, print the table."""
    options = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    options.add_argument('--items', type=int, default=10, help='of each of four tasks')
    count = options.parse_args().items
    start_s, machine = time.monotonic(), describe_machine()
    try:
        with running_arms() as askers:
            budgets = placed_budgets(askers)
            found = measured(askers, items(count, SEED), budgets)
    except RuntimeError as error:
        print(f'bench-live: {error}', file=sys.stderr)
        return 1
    report = {
        'budgets': {
            f'{budget_s:g}': {arm: summary(found, arm, budget_s) for arm in ARMS}
            for budget_s in budgets
        },
        'n': 4 * count,
        'seed': SEED,
        'development_seed': DEVELOPMENT_SEED,
        'machine': machine,
        'run_time_s': round(time.monotonic() - start_s, 1),
    }
    (RESULTS / 'live.json').write_text(json.dumps(report, indent=2) + '\n')
    print(table(report))
    return 0


def items(count: int, seed: int) -> list[Item]:
    """Return so many questions of each task, one task after the other."""
    gguf = locate(BUILT_IN)
    folder = converted_folder(gguf, gguf_hash(gguf), torch.bfloat16)
    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)

    def count_tokens(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)['input_ids'])

    tasks = [task_items(task, count, seed, {}, count_tokens) for task in MADE_UP]
    return [item for group in zip(*tasks, strict=True) for item in group]


@contextmanager
def running_arms() -> Iterator[Askers]:
    """Run a node for each arm; the first one measures the time model for all."""
    os.environ.update(private_domain())
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        environment = {'XDG_CACHE_HOME': folder}
        rclpy.init()
        stack.callback(rclpy.try_shutdown)
        node = rclpy.create_node('bench_live')
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        spinning = threading.Thread(target=executor.spin, daemon=True)
        spinning.start()
        stack.callback(executor.shutdown)
        askers = Askers(node)
        stack.callback(askers.close)
        for arm, parameters in ARMS.items():
            values = [part for value in parameters for part in ('-p', value)]
            arguments = ['-r', f'__ns:=/{arm}', *values]
            stack.enter_context(running_node(environment, arguments, keeps_prompts=True))
            askers.wait_until_ready(arm)
        yield askers


def placed_budgets(askers: Askers) -> list[float]:
    """Return the budgets in which SHARES of the unevicted development answers come [s]."""
    totals_s = []
    with Progress(4 * DEVELOPMENT_ITEMS, 'development items') as progress:
        for item in items(DEVELOPMENT_ITEMS, DEVELOPMENT_SEED):
            askers.prepare('vanilla', item)
            given = askers.ask('vanilla', item, None, ENOUGH_S)
            assert given.completed, 'there is time enough'
            totals_s.append(given.total_s)
            progress.advance(1, item.task)
    return [float(f'{budget_s:.3g}') for budget_s in np.quantile(totals_s, SHARES)]


Found = Mapping[tuple[str, float], Sequence[Given]]


def measured(askers: Askers, asked: Sequence[Item], budgets: Sequence[float]) -> Found:
    """Return what each arm gave within each budget."""
    found: dict[tuple[str, float], list[Given]] = defaultdict(list)
    draw = random.Random(SEED)
    with Progress(len(asked), 'items') as progress:
        for item in asked:
            runs = [(arm, *place) for arm in ARMS for place in zip(SHARES, budgets, strict=True)]
            for arm in ARMS:
                askers.prepare(arm, item)
            for arm, share, budget_s in draw.sample(runs, len(runs)):
                found[arm, budget_s].append(askers.ask(arm, item, share, budget_s))
            progress.advance(1, item.task)
    return found


def summary(found: Found, arm: str, budget_s: float) -> dict[str, Any]:
    """Return an arm's figures within a budget."""
    given, closed = found[arm, budget_s], found[CLOSED, budget_s]
    scores = [one.score for one in given]
    return {
        'score': float(np.mean(scores)),
        'completion': float(np.mean([one.completed for one in given])),
        'eviction_ratio': float(np.mean([one.eviction_ratio for one in given])),
        'n': len(given),
        'less_closed_loop': paired_difference(scores, [one.score for one in closed], SEED),
    }


def table(report: Mapping[str, Any]) -> str:
    """Return score and completion of each arm within each budget."""
    rows = [('', *(f'{budget} s' for budget in report['budgets']))]
    for arm in ARMS:
        cells = [arms[arm] for arms in report['budgets'].values()]
        rows.append(
            (arm, *(f'{one["score"]:.3f} {100 * one["completion"]:3.0f} %' for one in cells))
        )
    return f'{report["n"]} items: score, completion\n{screen_table(rows)}'


if __name__ == '__main__':
    sys.exit(main())
