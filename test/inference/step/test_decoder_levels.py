"""Prefills and steps of every kind of weights against plain arithmetic, on each level of ARM's.

An emulator runs the library, compiled by a cross compiler: on a processor with NEON only, on one
with dot products, and on one with bf16 too. What this machine has itself is run as it was built.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from timebill_ros.inference.step import decoder_library

FOLDER = Path(__file__).parent
SOURCES = FOLDER.parents[2] / 'src'
DRIVER = FOLDER / 'decoder_levels.cpp'
COMPILER = os.environ.get('CXX', 'c++')
CROSS_COMPILER = 'aarch64-linux-gnu-g++'
EMULATOR = 'qemu-aarch64'
FLAGS = ['-std=c++20', '-O3', '-Wall', '-Wextra', '-Wno-psabi', '-pthread', f'-I{SOURCES}']

LEVELS = {
    'cortex-a72': ['neon'],  # Raspberry Pi 4
    'neoverse-n1': ['neon_dot', 'neon'],  # as Jetson Orin's Cortex-A78AE
    'max': ['neon_bf16', 'neon_dot', 'neon'],  # as Grace and Jetson Thor
}
BFLOAT16_LEVELS = ('amx', 'avx512_bf16', 'neon_bf16')
CACHES = ('float32', 'bfloat16')
STEP_BOUNDS = {
    'int8': 1e-3,
    'int4': 8e-3,
    'int5': 6e-3,
    'super4': 1e-2,
    'super5': 1e-2,
    'super6': 3e-3,
}
"""In fp32, of kinds that are multiplied in integers. A wrong product is off by 0.1 and more."""
PLAIN_BOUND = 1e-5
PREFILL_BOUND = 3e-5


def bounds(kind: str, cache: str, level: str) -> tuple[float, float]:
    """Return how far the logits of steps and of a prefill may be off."""
    if cache == 'float32':
        return STEP_BOUNDS.get(kind, PLAIN_BOUND), PREFILL_BOUND
    return 0.1, 0.4 if level in BFLOAT16_LEVELS else 0.2


def assert_near(printed: str, levels: list[str]) -> None:
    names, *lines = printed.splitlines()
    assert names.split() == levels
    found = {}
    for kind, cache, *errors, is_same in map(str.split, lines):
        found[kind, cache] = errors
        assert is_same == '1', f'{levels[0]} {kind} {cache}: several tokens in a step'
    assert set(found) == {(kind, cache) for kind in decoder_library.KINDS for cache in CACHES}
    for (kind, cache), errors in found.items():
        for error, bound in zip(errors, bounds(kind, cache, levels[0]), strict=True):
            assert float(error) < bound, f'{levels[0]} {kind} {cache} {errors}'


@pytest.fixture(scope='module')
def cross_compiled(tmp_path_factory):
    for program in (CROSS_COMPILER, EMULATOR):
        if shutil.which(program) is None:
            pytest.skip(f'there is no {program}')
    program = tmp_path_factory.mktemp('levels') / 'decoder_levels'
    sources = [str(SOURCES / 'decoder_step.cpp'), str(DRIVER)]
    # Static: the emulator then needs no libraries of the other processor.
    command = [CROSS_COMPILER, *FLAGS, '-static', *sources, '-o', str(program)]
    assert subprocess.run(command, capture_output=True, text=True).stderr == ''
    return program


@pytest.mark.parametrize('cpu', LEVELS)
def test_each_level_of_arm_computes_what_plain_arithmetic_does(cross_compiled, cpu):
    run = subprocess.run(
        [EMULATOR, '-cpu', cpu, cross_compiled], capture_output=True, text=True, timeout=600
    )
    assert run.returncode == 0, run.stderr
    assert_near(run.stdout, LEVELS[cpu])


def test_this_machines_level_computes_what_plain_arithmetic_does(tmp_path):
    if shutil.which(COMPILER) is None:
        pytest.skip(f'there is no compiler {COMPILER}')
    library = decoder_library.library()
    assert library is not None
    built, program = Path(library._name), tmp_path / 'decoder_levels'
    command = [COMPILER, *FLAGS, str(DRIVER), str(built), f'-Wl,-rpath,{built.parent}']
    compiled = subprocess.run([*command, '-o', str(program)], capture_output=True, text=True)
    assert compiled.stderr == ''
    run = subprocess.run(program, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    assert_near(run.stdout, decoder_library.instruction_sets())
