"""Imports run one way: core <- inference <- worker, core <- dispatch <- node; see docs."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What each room may import of this project, besides itself.
ALLOWED = {
    'core': set(),
    'inference': {'core'},
    'worker': {'core', 'inference'},
    'remote': {'core', 'worker'},
    'dispatch': {'core'},
    'node': {'core', 'dispatch', 'worker', 'remote', 'msg', 'srv', 'action', 'log_files'},
    'client': {'msg', 'srv'},
    'examples': {'client', 'msg', 'log_files'},
    'monitor': {'client', 'msg', 'log_files'},
    'training': {'core', 'inference', 'progress'},
    'profile': {'core', 'inference', 'profile_figure', 'progress'},
    'profile_figure': {'core', 'inference'},
    'demo': {'demo_table', 'msg', 'log_files'},
    'demo_table': {'client', 'msg'},
    'progress': set(),
    'log_files': set(),
}

# The same for the rooms of inference; its other files may import all of them.
ALLOWED_IN_INFERENCE = {
    'cache': set(),
    'constraint': {'interrupt', 'mean_probability', 'repetition', 'step', 'text_stream'},
    'step': {'cache'},
    'loading': {'cache', 'step', 'attention'},
    'length': {'loading', 'prefix'},
    'prefix': set(),
}

# Loading a module must leave these unloaded, also by what it imports in its turn.
FORBIDDEN = {
    'timebill_ros.node.timebill_node': [
        'torch',
        'transformers',
        'timebill_ros.inference',
        'timebill_ros.remote',
        'httpx',
    ],
    'timebill_ros.node.supervisor': ['rclpy', 'torch', 'timebill_ros.msg'],
    'timebill_ros.dispatch.dispatcher': ['rclpy', 'torch', 'msgspec', 'timebill_ros.msg'],
    'timebill_ros.worker.worker_client': ['torch', 'transformers', 'rclpy', 'numpy'],
    'timebill_ros.worker.query_server': ['rclpy', 'timebill_ros.node', 'timebill_ros.dispatch'],
    'timebill_ros.remote.__main__': ['torch', 'rclpy', 'numpy', 'timebill_ros.inference'],
    'timebill_ros.remote.remote_client': ['httpx', 'llguidance', 'torch', 'rclpy'],
    'timebill_ros.inference.pipeline': ['rclpy', 'timebill_ros.worker', 'timebill_ros.node'],
    'timebill_ros.training.collect_lengths': ['rclpy', 'timebill_ros.worker', 'benchmark'],
    'timebill_ros.training.prompt_set': ['torch', 'transformers', 'timebill_ros.inference'],
    'timebill_ros.client': ['torch', 'transformers', 'timebill_ros.core', 'timebill_ros.worker'],
    'timebill_ros.monitor.monitor_node': ['torch', 'transformers', 'timebill_ros.core', 'rich'],
    'timebill_ros.profile': ['rclpy', 'matplotlib'],
    'timebill_ros.demo': ['torch', 'timebill_ros.node', 'timebill_ros.worker'],
}
WITH_TORCH = (
    'timebill_ros.inference.pipeline',
    'timebill_ros.training.collect_lengths',
    'timebill_ros.profile',
    'timebill_ros.worker.query_server',
)


def _imported(path: Path) -> Iterator[str]:
    """Yield the full names of what a module imports of this project, wherever it does so."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f'{node.module}.{alias.name}' for alias in node.names]
        yield from (name for name in names if name.startswith(('timebill_ros.', 'benchmark.')))


def _room(path: Path) -> str:
    return path.relative_to(ROOT / 'timebill_ros').parts[0].removesuffix('.py')


@pytest.mark.parametrize('room', ALLOWED)
def test_a_room_imports_only_the_rooms_behind_it(room: str) -> None:
    files = [p for p in (ROOT / 'timebill_ros').rglob('*.py') if _room(p) == room]
    assert files, 'the room is gone: this table is out of date'
    found = {
        f'{path.relative_to(ROOT)}: {name}'
        for path in files
        for name in _imported(path)
        if not name.startswith('timebill_ros.') or name.split('.')[1] not in ALLOWED[room] | {room}
    }
    assert found == set()


@pytest.mark.parametrize('room', ALLOWED_IN_INFERENCE)
def test_a_room_of_inference_imports_only_the_rooms_behind_it(room: str) -> None:
    files = list((ROOT / 'timebill_ros' / 'inference' / room).glob('*.py'))
    assert files, 'the room is gone: this table is out of date'
    names = {name for path in files for name in _imported(path) if '.inference.' in name}
    assert {name.split('.')[2] for name in names} <= ALLOWED_IN_INFERENCE[room] | {room}


def test_every_room_is_in_the_table() -> None:
    rooms = {_room(path) for path in (ROOT / 'timebill_ros').rglob('*.py')}
    assert rooms - {'__init__'} == set(ALLOWED)


@pytest.mark.parametrize('module', [name for name in FORBIDDEN if name not in WITH_TORCH])
def test_import_loads_nothing_from_the_rooms_ahead(module: str) -> None:
    assert loaded([module])[module] == []


def test_what_loads_torch_loads_nothing_from_the_rooms_ahead() -> None:
    """In one process: torch takes seconds. None of them loads what one before it must not."""
    assert loaded(WITH_TORCH) == {module: [] for module in WITH_TORCH}


def loaded(modules: Sequence[str]) -> dict[str, list[str]]:
    """Load modules in a process, in this order; return what each must not have loaded."""
    forbidden = {module: FORBIDDEN[module] for module in modules}
    script = (
        'import sys, importlib, json\n'
        'found = {}\n'
        f'for module, forbidden in {forbidden!r}.items():\n'
        '    importlib.import_module(module)\n'
        '    found[module] = [name for name in forbidden if name in sys.modules]\n'
        'print(json.dumps(found))'
    )
    run = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, timeout=600, check=True
    )
    found: dict[str, list[str]] = json.loads(run.stdout)
    return found


def test_core_needs_only_the_standard_library_and_numpy() -> None:
    script = (
        'import sys, pkgutil, importlib, timebill_ros.core as core\n'
        'before = set(sys.modules)\n'
        'for module in pkgutil.iter_modules(core.__path__):\n'
        '    importlib.import_module("timebill_ros.core." + module.name)\n'
        'roots = {name.partition(".")[0] for name in set(sys.modules) - before}\n'
        'known = sys.stdlib_module_names | {"timebill_ros", "numpy", "__mp_main__"}\n'
        'print(sorted(roots - known))'
    )
    found = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, timeout=120, check=True
    )
    assert found.stdout.strip() == '[]'
