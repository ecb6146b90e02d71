"""The boundary to the compiled step: stale libraries are refused, errors become exceptions."""

import logging
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import timebill_ros
from support.tiny_models import tiny_model, tiny_target
from timebill_ros.inference.step import decoder_library, native_families
from timebill_ros.inference.step.decoder_library import STAMP
from timebill_ros.inference.step.decoding_step import decoding_step
from timebill_ros.inference.step.generic_step import GenericStep

SOURCES = Path(__file__).parents[3] / 'src'
BUILT = next(
    path
    for folder in timebill_ros.__path__
    if (path := Path(folder) / decoder_library.FILE).is_file()
)


def packed(stamp):
    """Return a stamp as a library has it."""
    return struct.pack(f'={len(stamp)}i', *stamp)


def patched(folder, old, new):
    """Return the folder of a library that differs from the built one in some bytes."""
    content = BUILT.read_bytes()
    assert content.count(old) >= 1
    (folder / decoder_library.FILE).write_bytes(content.replace(old, new))
    return folder


@pytest.fixture
def use_library(monkeypatch):
    """Return what makes the package find its library in a folder."""

    def use(folder):
        monkeypatch.setattr(timebill_ros, '__path__', [str(folder)])
        decoder_library._found.cache_clear()

    yield use
    decoder_library._found.cache_clear()


@pytest.mark.parametrize('differing', range(len(STAMP)))
def test_a_library_with_another_stamp_is_refused(differing, tmp_path, use_library, caplog):
    stamp = [value + (index == differing) for index, value in enumerate(STAMP)]
    use_library(patched(tmp_path, packed(STAMP), packed(stamp)))
    with caplog.at_level(logging.WARNING):
        assert isinstance(decoding_step(tiny_target('llama').model, {}), GenericStep)
    why_not = native_families.why_not(tiny_model('llama'))
    assert str(tmp_path / decoder_library.FILE) in why_not
    assert f'{tuple(stamp)}, not {STAMP}' in why_not and 'build the workspace again' in why_not
    assert [record.message for record in caplog.records] == [
        f'the compiled step is not used, and decoding is slower: {why_not}'
    ]
    assert decoder_library.instruction_sets() == []


def test_a_library_older_than_the_stamp_is_refused(tmp_path, use_library):
    use_library(patched(tmp_path, b'timebill_decoder_stamp', b'timebill_decoder_other'))
    assert 'its stamp is ()' in decoder_library.why_not()
    assert 'build the workspace again' in decoder_library.why_not()


def test_nothing_of_a_refused_library_is_called(tmp_path, use_library):
    content = BUILT.read_bytes().replace(packed(STAMP), packed([0] * len(STAMP)))
    # Whatever asks for a function of this one fails with an AttributeError.
    for name in (b'instruction_set', b'decoder_error', b'decoder_create', b'decoder_destroy'):
        assert b'timebill_' + name in content
        content = content.replace(b'timebill_' + name, b'unknown__' + name)
    (tmp_path / decoder_library.FILE).write_bytes(content)
    use_library(tmp_path)
    assert decoder_library.library() is None
    assert 'another version' in decoder_library.why_not()


def test_a_damaged_library_is_refused(tmp_path, use_library):
    (tmp_path / decoder_library.FILE).write_bytes(b'no library')
    use_library(tmp_path)
    assert 'cannot be loaded, build the workspace again' in decoder_library.why_not()


def test_a_missing_library_is_said_to_be_missing(tmp_path, use_library):
    use_library(tmp_path)
    assert decoder_library.why_not() == 'libtimebill_decoder.so was not built'


def test_the_structs_are_those_of_the_library(tmp_path):
    compiler = os.environ.get('CXX', 'c++')
    if shutil.which(compiler) is None:
        pytest.skip(f'there is no compiler {compiler}')
    expected = {
        f'{kind.__name__}.{name}': (getattr(kind, name).offset, getattr(kind, name).size)
        for kind in decoder_library.STRUCTS
        for name, _ in kind._fields_
    }
    lines = [
        f'std::printf("{field} %zu %zu\\n", offsetof({field.replace(".", ", ")}), '
        f'sizeof({field.replace(".", "::")}));'
        for field in expected
    ]
    source = tmp_path / 'offsets.cpp'
    source.write_text(
        '#include <cstddef>\n#include <cstdio>\n#include "decoder_abi.h"\n'
        f'int main()\n{{\n{chr(10).join(lines)}\n}}\n'
    )
    program = tmp_path / 'offsets'
    subprocess.run([compiler, '-std=c++20', f'-I{SOURCES}', source, '-o', program], check=True)
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    found = {
        name: (int(offset), int(size))
        for name, offset, size in map(str.split, printed.splitlines())
    }
    assert found == expected


STARVED = """
import ctypes, resource
from timebill_ros.inference.step import decoder_library
from timebill_ros.inference.step.decoder_library import KINDS, Matrix, Model

library = decoder_library.library()

def create(hidden, threads):
    weights = ctypes.create_string_buffer(1)  # they are not read before a step
    head = Matrix(kind=0, rows=1, columns=hidden, weights=ctypes.addressof(weights))
    model = Model(hidden=hidden, intermediate=32, heads=1, kv_heads=1, head_size=32, head=head)
    decoder = ctypes.c_void_p()
    library.timebill_decoder_create(ctypes.byref(model), threads, 0, ctypes.byref(decoder))
    library.timebill_decoder_destroy(decoder)

before = resource.getrlimit(resource.RLIMIT_AS)
pages = int(open('/proc/self/statm').read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (100 << 20), before[1]))
for hidden, threads in ((1 << 30, 1), (32, 64)):
    try:
        create(hidden, threads)
    except RuntimeError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_AS, before)
create(32, 3)
print('goes on')
"""


def test_want_of_memory_and_of_threads_is_an_exception_and_the_process_goes_on():
    run = subprocess.run(
        [sys.executable, '-c', STARVED],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {'PYTHONPATH': os.pathsep.join(sys.path)},
    )
    assert run.returncode == 0, run.stderr
    memory, threads, rest = run.stdout.splitlines()
    assert memory == 'the compiled step: there is not enough memory'
    assert threads.startswith('the compiled step: the system has no more threads')
    assert rest == 'goes on'


def test_without_threads_the_generic_step_serves(monkeypatch, caplog):
    def no_threads(*_):
        raise RuntimeError('the system has no more threads')

    monkeypatch.setattr('timebill_ros.inference.step.decoding_step.NativeStep', no_threads)
    assert isinstance(decoding_step(tiny_target('llama').model, {}), GenericStep)
    assert 'no more threads' in caplog.text


def test_each_level_asks_for_the_features_that_it_is_compiled_with():
    source = (SOURCES / 'instruction_sets.h').read_text()
    enabled = re.findall(r'^TARGET\((\w+)\(NAME\)\)\s*namespace (\w+)', source, re.M)
    asked = re.findall(
        r'all_of\({(\w+)\((?:IS_SUPPORTED|HAS_BITS)\)}\)\)\) return SET\("(\w+)"', source
    )
    assert enabled == asked and len(asked) == 6
    assert 'target(' not in source.replace('GCC target(__VA_ARGS__)', '')
