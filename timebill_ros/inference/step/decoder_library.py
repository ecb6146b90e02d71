"""The compiled decoding step, as Python sees it: src/decoder_abi.h has the same structs."""

import ctypes
import logging
from ctypes import POINTER, c_char_p, c_float, c_int32, c_int64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import timebill_ros

FILE = 'libtimebill_decoder.so'
ABI_VERSION = 7
"""Of this module and of decoder_abi.h: raise both together."""
KINDS = {
    'float32': 0,
    'bfloat16': 1,
    'int8': 2,
    'int4': 3,
    'int5': 4,
    'super4': 5,
    'super5': 6,
    'super6': 7,
    'float16': 8,
}
LARGEST_HEAD = 256
MOST_TOKENS = 4
"""Of a step."""
INTERRUPTED = 2
"""What a pass returns that was cut off."""
NEVER_NS = (1 << 63) - 1
"""The deadline of a pass that has none."""


class Matrix(ctypes.Structure):
    """Weights of shape (rows, columns); the bias may be null."""

    _fields_ = [
        ('kind', c_int32),
        ('rows', c_int32),
        ('columns', c_int32),
        ('unused', c_int32),
        ('weights', c_void_p),
        ('bias', c_void_p),
    ]


class Layer(ctypes.Structure):
    """One layer's weights, and its KV cache: (kv_heads, capacity, head_size)."""

    _fields_ = [
        ('attention_norm', c_void_p),
        ('mlp_norm', c_void_p),
        ('query_norm', c_void_p),
        ('key_norm', c_void_p),
        ('query', Matrix),
        ('key', Matrix),
        ('value', Matrix),
        ('output', Matrix),
        ('gate', Matrix),
        ('up', Matrix),
        ('down', Matrix),
        ('keys', c_void_p),
        ('values', c_void_p),
        ('capacity', c_int64),
        ('length', c_int64),
        ('window', c_int64),
    ]


class Model(ctypes.Structure):
    """A model of the Llama kind."""

    _fields_ = [
        ('layers', c_int32),
        ('hidden', c_int32),
        ('heads', c_int32),
        ('kv_heads', c_int32),
        ('head_size', c_int32),
        ('intermediate', c_int32),
        ('cache_kind', c_int32),
        ('unused', c_int32),
        ('epsilon', c_float),
        ('scaling', c_float),
        ('layer', POINTER(Layer)),
        ('final_norm', c_void_p),
        ('head', Matrix),
    ]


class Pass(ctypes.Structure):
    """Tokens that go through some of the layers together."""

    _fields_ = [
        ('tokens', c_int32),
        ('first_layer', c_int32),
        ('last_layer', c_int32),
        ('rows', c_int32),
        ('logit_rows', c_int32),
        ('observed_rows', c_int32),
        ('hidden', c_void_p),
        ('cosine', c_void_p),
        ('sine', c_void_p),
        ('logits', c_void_p),
        ('observed', c_void_p),
        ('log_sums', c_void_p),
        ('abort', c_void_p),
        ('deadline_ns', c_int64),
        ('longest_unchecked_ns', c_int64),
    ]


class EvictedLayer(ctypes.Structure):
    """What an eviction sees of a layer, and where it writes what stays."""

    _fields_ = [
        ('queries', c_void_p),
        ('log_sums', c_void_p),
        ('keys', c_void_p),
        ('values', c_void_p),
        ('capacity', c_int64),
        ('positions', c_void_p),
    ]


class Eviction(ctypes.Structure):
    """An eviction of the prompt's part of the caches."""

    _fields_ = [
        ('window', c_int32),
        ('kernel', c_int32),
        ('sinks', c_int32),
        ('always_last', c_int32),
        ('prompt_tokens', c_int64),
        ('kept_tokens', c_int64),
        ('layer', POINTER(EvictedLayer)),
        ('abort', c_void_p),
        ('deadline_ns', c_int64),
        ('longest_unchecked_ns', c_int64),
    ]


STRUCTS = (Matrix, Layer, Model, Pass, EvictedLayer, Eviction)
STAMP = (ABI_VERSION, *map(ctypes.sizeof, STRUCTS))
"""A library with another one would read and write other memory than Python means."""


class LibraryError(Exception):
    """A library that must not be used; the message is a sentence for the log."""


def load(path: Path) -> ctypes.CDLL:
    """Return the library of a file.

    Raises:
        LibraryError: it cannot be loaded, or is of another version than this module. Nothing of
            it was called.
    """
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        raise LibraryError(
            f'{path} cannot be loaded, build the workspace again: {error}'
        ) from error
    try:
        stamp = tuple((c_int32 * len(STAMP)).in_dll(loaded, 'timebill_decoder_stamp'))
    except ValueError:  # older than the stamp
        stamp = ()
    if stamp != STAMP:
        raise LibraryError(
            f'{path} is of another version than the Python that calls it (its stamp is {stamp}, '
            f'not {STAMP}): build the workspace again'
        )
    loaded.timebill_instruction_set.argtypes = [c_int32]
    loaded.timebill_instruction_set.restype = c_char_p
    loaded.timebill_decoder_error.argtypes = []
    loaded.timebill_decoder_error.restype = c_char_p
    loaded.timebill_decoder_destroy.argtypes = [c_void_p]
    loaded.timebill_decoder_destroy.restype = None

    # ctypes' type of an errcheck does not know that an integer comes as one of Python.
    def raise_if_failed(failed: Any, function: Any, arguments: Any) -> Any:
        if failed not in (0, INTERRUPTED):
            raise RuntimeError(f'the compiled step: {loaded.timebill_decoder_error().decode()}')
        return failed

    loaded.timebill_decoder_create.argtypes = [POINTER(Model), c_int32, c_int32, POINTER(c_void_p)]
    loaded.timebill_decoder_step.argtypes = [c_void_p, c_int32, *[c_void_p] * 4]
    loaded.timebill_decoder_prefill.argtypes = [c_void_p, POINTER(Pass)]
    loaded.timebill_decoder_evict.argtypes = [c_void_p, POINTER(Eviction)]
    loaded.timebill_decoder_choose.argtypes = [
        *[c_void_p] * 3,
        c_int64,
        c_float,
        *[c_void_p] * 2,
    ]
    loaded.timebill_decoder_lookup.argtypes = [POINTER(Matrix), c_void_p, c_int64, c_void_p]
    for function in (
        loaded.timebill_decoder_create,
        loaded.timebill_decoder_step,
        loaded.timebill_decoder_prefill,
        loaded.timebill_decoder_evict,
        loaded.timebill_decoder_choose,
        loaded.timebill_decoder_lookup,
    ):
        function.restype = c_int32
        function.errcheck = raise_if_failed
    return loaded


def library() -> ctypes.CDLL | None:
    """Return the library. None: it cannot be used, and why_not() says why."""
    found = _found()
    return None if isinstance(found, str) else found


def why_not() -> str:
    """Return why there is no library, as a clause; '' if there is one."""
    found = _found()
    return found if isinstance(found, str) else ''


@cache
def _found() -> ctypes.CDLL | str:
    # The package's path has the source folder and the install prefix: built is only the latter.
    found = [Path(folder) / FILE for folder in timebill_ros.__path__]
    path = next((path for path in found if path.is_file()), None)
    if path is None:  # pip without a C++ compiler
        return f'{FILE} was not built'
    try:
        return load(path)
    except LibraryError as error:
        logging.warning('the compiled step is not used, and decoding is slower: %s', error)
        return str(error)


def instruction_sets() -> list[str]:
    """Return the instruction sets that the library can use on this processor, best first."""
    loaded, names = library(), list[str]()
    while loaded is not None and (name := loaded.timebill_instruction_set(len(names))):
        names.append(name.decode())
    return names
