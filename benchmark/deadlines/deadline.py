"""Measures whether every query is replied to once, by its deadline.

The real node, with its built-in model, is asked by a process of its own over the public topics:
one query at a time, with a full queue, in bursts, and 1,000 at once; on the machine as it is, and
while a process at the same priority keeps every core busy, in turns. Then under load, by every
overrun policy and queue order (load/); with askers that fail (memory.py); and idle (idle.py).
"""

import contextlib
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from benchmark.deadlines.asker import Ask, Asker
from benchmark.deadlines.contract import count_violations, violations
from benchmark.deadlines.idle import measure_idle
from benchmark.deadlines.load.loaded_run import run_load
from benchmark.deadlines.load.summary import summarise_load
from benchmark.deadlines.load.table import print_load_table
from benchmark.deadlines.memory import run_memory, summarise_memory
from benchmark.deadlines.node_process import cpu_hog, private_domain, running_node
from benchmark.deadlines.plot import plot
from benchmark.deadlines.query_mix import QueryMix, Section
from benchmark.deadlines.summary import summarise
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS
from benchmark.report.tables import screen_table
from timebill_ros.progress import Progress

SEED = 20250807
CONDITIONS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    'idle': contextlib.nullcontext,
    'loaded': cpu_hog,
}
_LONGEST_LOADING_S = 120.0
_STATISTICS = ('n', 'min', 'p50', 'p99', 'max')
_ROWS = (
    ('KILLED, published before deadline', 'kill_earliness_ms'),
    ('KILLED, written before deadline', 'kill_earliness_source_ms'),
    ('KILLED, received before deadline', 'kill_earliness_receipt_ms'),
    ('refusal, one at a time', 'refusal_ms'),
    ('refusal, in bursts', 'burst_refusal_ms'),
    ('refusal by token count', 'token_count_refusal_ms'),
)


def main() -> int:
    """Run, write the JSON and the figure, print the table."""
    start_s, machine = time.monotonic(), describe_machine()
    environment = private_domain()
    with running_node(environment) as node, Asker(environment) as asker:
        wait_until_ready(asker)
        idle_node = measure_idle(node.pid)
        _ask_everything(asker)
        load = run_load(asker, SEED)
        memory = run_memory(environment, node.pid, asker, SEED)
        records, stray = asker.finish()
    by_condition = {
        condition: [record for record in records if record.id.startswith(condition)]
        for condition in CONDITIONS
    }
    idle, loaded = (summarise(by_condition[condition]) for condition in CONDITIONS)
    load_results = load.results(records)
    under_load = summarise_load(load, load_results, SEED)
    of_memory = summarise_memory(memory)
    found = [
        *(violations(record) for condition in CONDITIONS for record in by_condition[condition]),
        *(result.violations for result in load_results),
        *memory.violations,
    ]
    result = {
        **idle,
        'loaded': loaded,
        'contract_violations': sum(map(bool, found)),
        'violations': count_violations(found),
        **under_load,
        'idle': idle_node,
        **of_memory,
        'stray_replies': stray,
        'node_exit_status': node.returncode,
        'seed': SEED,
        'run_time_s': round(time.monotonic() - start_s, 1),
        'machine': machine,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / 'deadline.json').write_text(json.dumps(result, indent=2) + '\n')
    plot(by_condition, result, RESULTS / 'deadline.png')
    _print_table({'idle': idle, 'loaded': loaded})
    print_load_table(result)
    print(f'{RESULTS / "deadline.json"}, deadline.png; {result["run_time_s"]} s')
    return 0


def wait_until_ready(asker: Asker) -> None:
    """Ask until there is an answer: the model is loaded, all topics are matched."""
    give_up_s = time.monotonic() + _LONGEST_LOADING_S
    attempt = 0
    while time.monotonic() < give_up_s:
        attempt += 1
        question = Ask(f'warm-up-{attempt}', 'warm-up', 'Say yes.', 10.0, max_new_tokens=4)
        if asker.ask([question]) == ['ANSWERED']:
            return
        time.sleep(0.5)
    raise RuntimeError(f'the node has answered nothing for {_LONGEST_LOADING_S:.0f} s')


def _ask_everything(asker: Asker) -> None:
    mixes = {condition: QueryMix(SEED, condition).sections() for condition in CONDITIONS}
    total = sum(section.size() for sections in mixes.values() for section in sections)
    with Progress(total, 'queries') as progress:
        for sections in zip(*mixes.values(), strict=True):
            for (condition, load), section in zip(CONDITIONS.items(), sections, strict=True):
                with load():
                    _ask_section(asker, section, progress, condition)


def _ask_section(asker: Asker, section: Section, progress: Progress, condition: str) -> None:
    for batch in section.batches:
        asker.ask(batch.asks, batch.wait)
        time.sleep(batch.pause_s)
        progress.advance(len(batch.asks), f'{condition}, {section.name}')
    asker.wait()


def _print_table(summaries: dict[str, dict]) -> None:
    columns = ('queries', 'replies', 'duplicates', 'missing', 'late', 'published_late')
    counts = [
        (condition, *(str(summary[column]) for column in columns))
        for condition, summary in summaries.items()
    ]
    print(screen_table([('', *columns), *counts]))
    for condition, summary in summaries.items():
        ends = ', '.join(f'{count} {outcome}' for outcome, count in summary['outcomes'].items())
        print(f'{condition}: {ends}')
    rows: list[tuple[str, ...]] = [('[ms]', *_STATISTICS)]
    for label, key in _ROWS:
        for condition, summary in summaries.items():
            cells = (summary[key][name] for name in _STATISTICS)
            texts = ('-' if cell is None else f'{cell:g}' for cell in cells)
            rows.append((f'{label}, {condition}', *texts))
    print(f'\n{screen_table(rows)}')
