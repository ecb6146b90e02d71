"""Measures how many queries are answered on time when more are asked than can be answered.

The part of the deadline benchmark under load, by itself: the real node, with its built-in model,
at 1, 2, 5 and 10 times its capacity, by every overrun policy, in each arm the same queries. What
is answered is held against what could have been, had all arrivals and times been known.
"""

import json
import time

from benchmark.deadlines.asker import Asker
from benchmark.deadlines.contract import count_violations
from benchmark.deadlines.deadline import SEED, wait_until_ready
from benchmark.deadlines.load.loaded_run import run_load
from benchmark.deadlines.load.plot import plot_goodput
from benchmark.deadlines.load.summary import summarise_load
from benchmark.deadlines.load.table import print_goodput
from benchmark.deadlines.node_process import private_domain, running_node
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS


def main() -> int:
    """Run, write the JSON and the figure, print the table."""
    start_s, machine = time.monotonic(), describe_machine()
    environment = private_domain()
    with running_node(environment), Asker(environment) as asker:
        wait_until_ready(asker)
        load = run_load(asker, SEED)
        records, stray = asker.finish()
    results = load.results(records)
    found = [result.violations for result in results]
    result = {
        **summarise_load(load, results, SEED),
        'contract_violations': sum(map(bool, found)),
        'violations': count_violations(found),
        'stray_replies': stray,
        'seed': SEED,
        'run_time_s': round(time.monotonic() - start_s, 1),
        'machine': machine,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / 'overload.json').write_text(json.dumps(result, indent=2) + '\n')
    plot_goodput(result, RESULTS / 'overload.png')
    print_goodput(result)
    print(f'{RESULTS / "overload.json"}, overload.png; {result["run_time_s"]} s')
    return 0
