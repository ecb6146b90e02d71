"""Makes an environment for each engine that ours is compared with, in the user's cache folder.

What is there already is left as it is. `make bench-engine-peers`, or with names of peers:
`make bench-engine-peers ARGS="openvino"`.
"""

import argparse
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmark.engine.peer import (
    PEERS,
    Peer,
    environment_of_peers,
    openvino_model,
    peers_folder,
)
from timebill_ros.inference.loading.gguf_cache import converted_folder, gguf_hash
from timebill_ros.inference.loading.model_source import BUILT_IN, locate

_TOLD_EVERY_S = 30.0
_FOR_THIS_CPU = {'CMAKE_ARGS': '-DGGML_NATIVE=ON -DGGML_IQK_FA_ALL_QUANTS=OFF'}
"""Without ik_llama.cpp's attention over quantized caches, which takes the most time to compile."""
_GROUP = '64'
"""Weights that share a scale. The usual 128 do not divide the built-in model's rows."""


class StepError(Exception):
    """A step has failed; one sentence."""


def main() -> int:
    """Make what is missing; return 1 if something cannot be made."""
    parser = argparse.ArgumentParser(prog='bench-engine-peers', description=__doc__)
    names = [peer.name for peer in PEERS]
    parser.add_argument('peers', nargs='*', metavar='PEER', help=f'of {", ".join(names)}; all')
    asked = parser.parse_args().peers or names
    if unknown := sorted(set(asked).difference(names)):
        parser.error(f'PEER must be one of {", ".join(names)}, got {unknown[0]}')
    failed = False
    for peer in PEERS:
        if peer.name not in asked:
            continue
        try:
            make_environment(peer)
            if peer.name == 'openvino':
                export_for_openvino(peer, openvino_model())
        except StepError as error:
            failed = True
            print(f'{peer.name} cannot be had: {error}', flush=True)
    return int(failed)


def make_environment(peer: Peer) -> None:
    """Make a peer's environment, unless it is there.

    Raises:
        StepError: that fails.
    """
    wanted = '\n'.join(peer.requirements) + '\n'
    if peer.complete.is_file() and peer.complete.read_text() == wanted:
        print(f'{peer.name} is in {peer.folder}', flush=True)
        return
    peers_folder().mkdir(exist_ok=True)
    log = peers_folder() / f'{peer.name}.log'
    run(
        f'{peer.name}: making its environment',
        [sys.executable, '-m', 'venv', '--clear', str(peer.folder)],
        log,
    )
    source = (str(unpacked(peer, log)),) if peer.adds else ()
    run(
        f'{peer.name}: {"building it, some minutes" if peer.built else "installing it"}',
        install_command(peer, source),
        log,
    )
    shutil.rmtree(source_folder(peer), ignore_errors=True)
    if peer.without:
        run(
            f'{peer.name}: taking {", ".join(peer.without)} out again',
            [peer.python, '-m', 'pip', 'uninstall', '-y', *peer.without],
            log,
        )
    peer.complete.write_text(wanted)


def source_folder(peer: Peer) -> Path:
    """Return where a peer's source package is unpacked; it is removed when it is built."""
    return peers_folder() / f'{peer.name}-source'


def unpacked(peer: Peer, log: Path) -> Path:
    """Return the folder of a peer's source package, with what it lacks.

    Raises:
        StepError: it cannot be downloaded.
    """
    folder = source_folder(peer)
    shutil.rmtree(folder, ignore_errors=True)
    pip = [peer.python, '-m', 'pip', 'download', '--disable-pip-version-check', '--no-deps']
    pip += ['--no-binary', peer.built, '-d', str(folder), *peer.requirements]
    run(f'{peer.name}: downloading its source', pip, log)
    with tarfile.open(next(folder.glob('*.tar.gz'))) as archive:
        archive.extractall(folder, filter='data')
    root = next(child for child in folder.iterdir() if child.is_dir())
    for path, text in peer.adds:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def install_command(peer: Peer, source: Sequence[str] = ()) -> list[str]:
    """Return the command that installs what a peer needs.

    Arguments:
        source: the folder of its source package, instead of what the requirements name; if any.
    """
    command = [peer.python, '-m', 'pip', 'install', '--disable-pip-version-check']
    if peer.built:
        command += ['--no-binary', peer.built]
    return [*command, *(source or peer.requirements)]


def export_for_openvino(peer: Peer, folder: Path) -> None:
    """Export the built-in model in 4 bits, unless that is done.

    Raises:
        StepError: that fails.
    """
    if folder.is_dir():
        print(f'its model is in {folder}', flush=True)
        return
    gguf = locate(BUILT_IN)
    source = converted_folder(gguf, gguf_hash(gguf), torch.bfloat16)
    target = peers_folder() / 'openvino.exported'
    shutil.rmtree(target, ignore_errors=True)
    run(
        'openvino: exporting the built-in model in 4 bits',
        [
            str(Path(peer.python).with_name('optimum-cli')),
            *('export', 'openvino', '--model', str(source)),
            *('--task', 'text-generation-with-past'),
            *('--weight-format', 'int4', '--group-size', _GROUP),
            str(target),
        ],
        peers_folder() / 'openvino-export.log',
    )
    target.rename(folder)


def run(doing: str, command: Sequence[str], log: Path) -> None:
    """Run a command, and tell every half minute that it runs.

    Arguments:
        doing: said at its start.
        log: takes what it prints.

    Raises:
        StepError: it fails.
    """
    print(f'{doing} ...', flush=True)
    start_s = time.monotonic()
    environment = {**environment_of_peers(), **_FOR_THIS_CPU, 'HF_HUB_OFFLINE': '1'}
    with log.open('w') as file:
        try:
            process = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
        except OSError as error:
            raise StepError(f'{command[0]} cannot be run ({error.strerror})') from error
        while True:
            try:
                status = process.wait(timeout=_TOLD_EVERY_S)
                break
            except subprocess.TimeoutExpired:
                print(f'{doing}: {time.monotonic() - start_s:.0f} s', flush=True)
            except BaseException:
                process.kill()
                process.wait()
                raise
    if status:
        raise StepError(f'{reason(log.read_text(errors="replace"))} ({log})')


def reason(log: str) -> str:
    """Return the line of a log that says best why a command failed."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(('error', 'fatal'))]
    return (errors or lines or ['it printed nothing'])[-1]


if __name__ == '__main__':
    sys.exit(main())
