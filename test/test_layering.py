"""Imports run one way: core <- inference <- worker <- node."""

import subprocess
import sys

import pytest

# Loading a package must leave these modules unloaded.
FORBIDDEN = {
    'timebill_ros.node.timebill_node': ['torch', 'transformers', 'timebill_ros.inference'],
    'timebill_ros.node.dispatcher': ['rclpy', 'torch', 'timebill_ros.msg'],
    'timebill_ros.node.supervisor': ['rclpy', 'torch', 'timebill_ros.msg'],
    'timebill_ros.worker.worker_client': ['torch', 'transformers', 'rclpy', 'numpy'],
    'timebill_ros.worker.query_server': ['rclpy', 'timebill_ros.node'],
    'timebill_ros.inference.pipeline': ['rclpy', 'timebill_ros.worker', 'timebill_ros.node'],
    'timebill_ros.training.collect_lengths': [
        *('rclpy', 'timebill_ros.worker', 'timebill_ros.node', 'timebill_ros.benchmark'),
    ],
    'timebill_ros.training.prompt_set': ['torch', 'transformers', 'timebill_ros.inference'],
    'timebill_ros.core.budget_planner': ['torch', 'rclpy', 'timebill_ros.inference'],
    'timebill_ros.client': [
        *('torch', 'transformers', 'timebill_ros.core', 'timebill_ros.inference'),
        *('timebill_ros.worker', 'timebill_ros.node'),
    ],
    'timebill_ros.demo': ['torch', 'timebill_ros.node', 'timebill_ros.worker'],
}


@pytest.mark.parametrize('module', FORBIDDEN)
def test_import_loads_nothing_from_the_rooms_ahead(module: str) -> None:
    script = (
        f'import sys, importlib; importlib.import_module({module!r});'
        f'print([name for name in {FORBIDDEN[module]!r} if name in sys.modules])'
    )
    loaded = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, timeout=120, check=True
    )
    assert loaded.stdout.strip() == '[]'


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
