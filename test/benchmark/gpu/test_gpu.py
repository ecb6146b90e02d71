"""The benchmark's parts, its files and its exit status, without a GPU."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmark.gpu import gpu
from benchmark.gpu.missing import missing
from benchmark.gpu.part_process import run_part

ROOT = Path(__file__).parents[3]
AGREES = {'agrees': True, 'error': 1e-6, 'positions': 12, 'detail': ''}
DIFFERS = {'agrees': False, 'error': 0.5, 'positions': 12, 'detail': 'the logits differ by 0.5'}
STEP = {'wall_ms': 2.0, 'device_ms': 1.5, 'launch_ms': 0.1, 'bytes': 10**9, 'bandwidth_share': 0.6}
FINDINGS: dict[str, list[tuple[Any, ...]]] = {
    'machine': [({'name': 'a GPU'}, 'device')],
    'correctness': [(AGREES, 'correctness', 'llama', 'graph', 'whole')],
    '0.5B': [
        ({'seconds': 0.1}, 'shapes', '0.5B', 'prefill', '2048'),
        (STEP, 'shapes', '0.5B', 'step', 'graph', '2048'),
        (1000.0, 'shapes', '0.5B', 'copy_gb_per_s'),
    ],
}


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(gpu, 'RESULTS', tmp_path)
    return tmp_path


def told_by(findings: dict[str, list[tuple[Any, ...]]], ends: dict[str, str]) -> Any:
    def run_part(name: str, device: str, limit_s: float, tell: Any) -> None:
        for value, *path in findings[name]:
            tell(value, *path)
        tell(ends.get(name, 'done'), 'parts', name)

    return run_part


def test_without_a_gpu_it_ends_with_one_sentence() -> None:
    ended = subprocess.run(
        [sys.executable, '-m', 'benchmark', 'gpu'], capture_output=True, text=True, cwd=ROOT
    )
    assert ended.returncode == 1
    assert ended.stdout == ''
    assert len(ended.stderr.splitlines()) == 1
    assert 'sees no CUDA device' in ended.stderr


def test_what_must_be_installed_is_named() -> None:
    said = missing(['json', 'no_such_package', 'no_other'])
    assert said == (
        'no_such_package, no_other cannot be imported: pip install no_such_package no_other'
    )


def test_findings_are_written_drawn_and_told(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, 'run_part', told_by(FINDINGS, {}))
    assert gpu.run('cuda', tuple(FINDINGS)) == 0
    found = json.loads((results / 'gpu.json').read_text())
    assert found['correctness']['llama']['graph']['whole'] == AGREES
    assert found['shapes']['0.5B']['step']['graph']['2048'] == STEP
    assert found['parts'] == dict.fromkeys(FINDINGS, 'done')
    assert (results / 'gpu.png').stat().st_size > 0
    screen = capsys.readouterr()
    assert '1 of 1' in screen.out
    assert 'correctness, llama, graph, whole: agrees True' in screen.err


@pytest.mark.parametrize(
    ('findings', 'ends'),
    [
        ({'correctness': [(DIFFERS, 'correctness', 'llama', 'graph', 'whole')]}, {}),
        ({'correctness': [({'failed': 'E: no'}, 'correctness', 'llama', 'is')]}, {}),
        (FINDINGS, {'0.5B': 'cut off after 90 s'}),
    ],
)
def test_what_is_wrong_or_cut_off_fails_and_is_told(
    findings: dict[str, Any],
    ends: dict[str, str],
    results: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(gpu, 'run_part', told_by(findings, ends))
    assert gpu.run('cuda', tuple(findings)) == 1
    screen = capsys.readouterr().out
    assert ('WRONG: llama, ' in screen) or ('0.5B: cut off after 90 s' in screen)


def test_no_part_begins_when_no_time_is_left(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, 'run_part', told_by({}, {}))
    assert gpu.run('cuda', ('machine', '7B'), total_s=0.5) == 1
    found = json.loads((results / 'gpu.json').read_text())
    assert found['parts'] == dict.fromkeys(('machine', '7B'), 'not begun: no time was left')


def test_each_part_may_take_its_own_time_and_what_earlier_ones_have_left(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float] = []
    monkeypatch.setattr(gpu, 'run_part', lambda *arguments: limits.append(arguments[2]))
    gpu.run('cuda')
    assert limits[-1] > gpu.LIMITS_S['7B']  # the others took no time
    for name, limit_s in zip(gpu.LIMITS_S, limits, strict=True):
        assert limit_s >= gpu.LIMITS_S[name]
    assert sum(gpu.LIMITS_S.values()) <= gpu.TOTAL_S < 8 * 60


@pytest.mark.parametrize(
    ('name', 'limit_s', 'ended'),
    [
        ('machine', 300.0, 'done'),
        ('machine', 0.001, 'cut off after 0 s'),
        ('no such part', 300.0, "KeyError: 'no such part'"),
    ],
)
def test_a_part_runs_in_a_process_of_its_own(name: str, limit_s: float, ended: str) -> None:
    found: dict[tuple[str, ...], Any] = {}
    run_part(name, 'cpu', limit_s, lambda value, *path: found.update({path: value}))
    assert found[('parts', name)] == ended
    assert (('machine',) in found) == (ended == 'done')


def test_neither_ros_nor_built_messages_are_needed() -> None:
    code = (
        'import sys, benchmark.gpu.part\n'
        "print([name for name in sys.modules if name.startswith(('rclpy', 'timebill_ros.msg'))])"
    )
    found = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    assert found.stdout == '[]\n', found.stderr
