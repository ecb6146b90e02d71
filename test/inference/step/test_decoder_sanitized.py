"""The compiled step under the address and undefined-behaviour sanitizers."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
SOURCES = FOLDER.parents[2] / 'src'
COMPILER = os.environ.get('CXX', 'c++')
SANITIZED = [
    *('-std=c++20', '-O0', '-g', '-pthread', '-Wno-psabi', '-D_GLIBCXX_ASSERTIONS'),
    *('-fsanitize=address,undefined', '-fno-sanitize-recover=all'),
]


def compiled(sources, to):
    command = [COMPILER, *SANITIZED, f'-I{SOURCES}', *map(str, sources), '-o', str(to)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def sanitizer(tmp_path):
    if shutil.which(COMPILER) is None:
        pytest.skip(f'there is no compiler {COMPILER}')
    empty = tmp_path / 'empty.cpp'
    empty.write_text('int main() {}')
    found = compiled([empty], tmp_path / 'empty')
    if found.returncode != 0 or subprocess.run(tmp_path / 'empty').returncode != 0:
        pytest.skip(f'{COMPILER} has no sanitizers: {found.stderr.splitlines()[-1:]}')


def test_no_step_leaves_its_memory(sanitizer, tmp_path):
    program = tmp_path / 'decoder_sanitized'
    sources = [SOURCES / 'decoder_step.cpp', FOLDER / 'decoder_sanitized.cpp']
    assert compiled(sources, program).stderr == ''
    run = subprocess.run(program, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
