"""How the environments of other engines are made, and their arms started."""

import sys
import tarfile
from pathlib import Path

import pytest

from benchmark.engine import engine_peers, peer, starts
from benchmark.engine.engine_peers import StepError, install_command, make_environment, reason, run
from benchmark.engine.peer import PEERS, environment_of_peers
from benchmark.engine.plan import context_tokens
from benchmark.engine.starts import peer_starts

BY_NAME = {found.name: found for found in PEERS}


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(peer, 'peers_folder', lambda: tmp_path)
    monkeypatch.setattr(engine_peers, 'peers_folder', lambda: tmp_path)
    monkeypatch.setattr(starts, 'openvino_model', lambda: tmp_path / 'exported')
    return tmp_path


def test_only_what_is_to_be_built_is_built(folder: Path):
    command = install_command(BY_NAME['ik_llama_cpp'])
    assert command[0] == str(folder / 'ik_llama_cpp' / 'bin' / 'python')
    assert command[command.index('--no-binary') + 1] == 'ik-llama-cpp-python'
    assert command[-1] == 'ik-llama-cpp-python==0.1.5'
    assert '--no-binary' not in install_command(BY_NAME['openvino'])


def test_an_environment_is_made_once_for_its_requirements(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    commands: list[list[str]] = []

    def made(doing: str, command: list[str], log: Path) -> None:
        commands.append(command)
        (folder / 'llama_cpp').mkdir(exist_ok=True)

    monkeypatch.setattr(engine_peers, 'run', made)
    make_environment(BY_NAME['llama_cpp'])
    assert len(commands) == 2
    make_environment(BY_NAME['llama_cpp'])
    assert len(commands) == 2
    (folder / 'llama_cpp' / 'complete').write_text('llama-cpp-python==0.1\n')
    make_environment(BY_NAME['llama_cpp'])
    assert len(commands) == 4


def test_a_step_that_fails_says_its_last_error(folder: Path):
    script = 'import sys; print("ERROR: no compiler"); print("bye"); sys.exit(3)'
    with pytest.raises(StepError, match=r'ERROR: no compiler \(.*x\.log\)'):
        run('x', [sys.executable, '-c', script], folder / 'x.log')
    with pytest.raises(StepError, match='cannot be run'):
        run('x', [str(folder / 'nothing')], folder / 'x.log')
    assert reason('') == 'it printed nothing'


def test_nothing_leads_a_peer_to_our_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv('LD_LIBRARY_PATH', '/ours')
    monkeypatch.setenv('PYTHONPATH', '/ours')
    environment = environment_of_peers()
    assert 'LD_LIBRARY_PATH' not in environment and 'MAKEFLAGS' not in environment
    assert (Path(environment['PYTHONPATH']) / 'peer_arm' / '__main__.py').is_file()


def test_a_peer_without_an_environment_is_missing(folder: Path):
    (folder / 'ik_llama_cpp').mkdir()  # not complete
    found = {start.name: start for start in peer_starts(folder, True, 1024, 2, sys.executable)}
    assert set(found) == set(BY_NAME)
    assert not found['ik_llama_cpp'].commands
    assert 'make bench-engine-peers' in found['ik_llama_cpp'].missing
    last = [sys.executable, '-m', 'peer_arm', 'llama_cpp', str(folder), '1024', '2']
    assert found['llama_cpp'].commands == [last, [*last, 'plain']]


def test_openvino_reads_no_file(folder: Path):
    names = [start.name for start in peer_starts(folder, False, 1024, 2, '')]
    assert names == ['llama_cpp', 'ik_llama_cpp']


def test_the_context_has_room_for_prompt_and_answer():
    assert context_tokens((128, 4096), 65) == 4352
    assert context_tokens((128,), 9) == 1024


def test_files_that_a_source_package_lacks_are_added_before_it_is_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    peer = BY_NAME['ik_llama_cpp']

    def download(doing: str, command: list[str], log: Path) -> None:
        folder = Path(command[command.index('-d') + 1])
        folder.mkdir()
        (tmp_path / 'setup.py').write_text('')
        with tarfile.open(folder / 'a-1.tar.gz', 'w:gz') as archive:
            archive.add(tmp_path / 'setup.py', 'a-1/setup.py')

    monkeypatch.setattr(engine_peers, 'run', download)
    for _ in range(2):  # also where one was before
        source = engine_peers.unpacked(peer, tmp_path / 'log')
    path, text = peer.adds[0]
    assert (source / path).read_text() == text
    assert 'BUILD_NUMBER' in text  # a number in C++: empty does not compile
    assert (source / 'setup.py').exists()
    assert install_command(peer, (str(source),))[-1] == str(source)
    assert peer.requirements[0] not in install_command(peer, (str(source),))
