"""The compiled decoding step (src/decoder_step.cpp), as Python sees it."""

import ctypes
from ctypes import POINTER, c_char_p, c_float, c_int32, c_int64, c_void_p
from functools import cache
from pathlib import Path

import timebill_ros

FILE = 'libtimebill_decoder.so'
KINDS = {'float32': 0, 'bfloat16': 1, 'int8': 2, 'int4': 3}
LARGEST_HEAD = 256


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


@cache
def library() -> ctypes.CDLL | None:
    """Return the library; None where it was not built (pip without a C++ compiler)."""
    # The package's path has the source folder and the install prefix: built is only the latter.
    found = [Path(folder) / FILE for folder in timebill_ros.__path__]
    path = next((path for path in found if path.is_file()), None)
    if path is None:
        return None
    loaded = ctypes.CDLL(str(path))
    loaded.timebill_instruction_set.argtypes = [c_int32]
    loaded.timebill_instruction_set.restype = c_char_p
    loaded.timebill_decoder_create.argtypes = [POINTER(Model), c_int32, c_int32]
    loaded.timebill_decoder_create.restype = c_void_p
    loaded.timebill_decoder_destroy.argtypes = [c_void_p]
    loaded.timebill_decoder_destroy.restype = None
    loaded.timebill_decoder_step.argtypes = [c_void_p] * 5
    loaded.timebill_decoder_step.restype = None
    return loaded


def instruction_sets() -> list[str]:
    """Return the names of those that the library has for this processor, the best first."""
    loaded, names = library(), []
    while loaded is not None and (name := loaded.timebill_instruction_set(len(names))):
        names.append(name.decode())
    return names
