"""The threads that compute, if nobody says."""

import os
from pathlib import Path

import pytest
import torch

from timebill_ros.inference import default_threads as room
from timebill_ros.inference.default_threads import default_threads


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine of eight cores, without limits; the folder that limits are written in."""
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: set(range(8)))
    own, cgroups = tmp_path / 'own', tmp_path / 'cgroup'
    (cgroups / 'robot' / 'node').mkdir(parents=True)
    own.write_text('9:cpu:/elsewhere\n0::/robot/node\n')
    monkeypatch.setattr(room, '_OWN_CGROUP', own)
    monkeypatch.setattr(room, '_CGROUPS', cgroups)
    return cgroups


def test_a_core_is_left_to_the_controllers() -> None:
    assert default_threads(leaves_one=True) == 7
    assert default_threads(leaves_one=False) == 8


@pytest.mark.parametrize(('cores', 'threads'), [(1, 1), (2, 2), (3, 2), (4, 3)])
def test_one_or_two_cores_are_not_shared(
    cores: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: set(range(cores)))
    assert default_threads(leaves_one=True) == threads


@pytest.mark.parametrize('level', ['robot/node', 'robot', '.'])
@pytest.mark.parametrize(
    ('limit', 'threads'), [('400000 100000', 3), ('50000 100000', 1), ('max 100000', 7)]
)
def test_a_container_may_have_less(machine: Path, level: str, limit: str, threads: int) -> None:
    (machine / level / 'cpu.max').write_text(f'{limit}\n')
    assert default_threads(leaves_one=True) == threads


def test_what_the_environment_says_of_openmp_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 1)
    assert default_threads(leaves_one=True) == 1
