"""Packages are fetched by pip, by name and hash; here pip is a fake."""

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from timebill_ros.training import prompt_packages
from timebill_ros.training.prompt_packages import PACKAGES, PromptPackage, fetched

CONTENT = b'texts'
PACKAGE = PromptPackage('texts', '1.0', 'texts-1.0.whl', hashlib.sha256(CONTENT).hexdigest())


class FakePip:
    def __init__(self, content: bytes | None, stderr: str = '') -> None:
        self.content, self.stderr, self.asked = content, stderr, []

    def __call__(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert '--no-deps' in command
        folder = Path(command[command.index('--dest') + 1])
        self.asked.append(Path(command[command.index('-r') + 1]).read_text().strip())
        if self.content is not None:
            (folder / PACKAGE.file_name).write_bytes(self.content)
        return subprocess.CompletedProcess(command, int(self.content is None), '', self.stderr)


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakePip]:
    def install(content: bytes | None, stderr: str = '') -> FakePip:
        fake = FakePip(content, stderr)
        monkeypatch.setattr(prompt_packages.subprocess, 'run', fake)
        return fake

    return install


def test_pip_is_asked_for_the_pinned_version_and_hash_once(
    pip: Callable[..., FakePip], tmp_path: Path
) -> None:
    fake = pip(CONTENT)
    for _ in range(2):
        assert fetched(PACKAGE, tmp_path / 'new').read_bytes() == CONTENT
    assert fake.asked == [f'texts==1.0 --hash=sha256:{PACKAGE.sha256}']
    assert [path.name for path in (tmp_path / 'new').iterdir()] == [PACKAGE.file_name]


def test_a_file_that_is_another_is_fetched_anew(
    pip: Callable[..., FakePip], tmp_path: Path
) -> None:
    (tmp_path / PACKAGE.file_name).write_bytes(b'half')
    pip(CONTENT)
    assert fetched(PACKAGE, tmp_path).read_bytes() == CONTENT


def test_another_file_than_the_pinned_one_is_refused(
    pip: Callable[..., FakePip], tmp_path: Path
) -> None:
    pip(b'other texts')
    with pytest.raises(ValueError, match=r'texts 1\.0: texts-1\.0\.whl should have the SHA-256'):
        fetched(PACKAGE, tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_pip_says_is_passed_on(pip: Callable[..., FakePip], tmp_path: Path) -> None:
    pip(None, 'WARNING: slow\nERROR: No matching distribution found\n[notice] news\n')
    with pytest.raises(
        ValueError, match=r'^package texts==1\.0 cannot be .*: No matching distribution found$'
    ):
        fetched(PACKAGE, tmp_path)


def test_every_package_is_pinned_by_a_hash() -> None:
    for name, package in PACKAGES.items():
        assert package.name == name
        assert len(package.sha256) == 64
        assert package.file_name.startswith(name.replace('-', '_') + '-' + package.version)
