"""One sentence of every failure, and whether to try again."""

import errno
import os

import pytest
import torch

from timebill_ros.worker.load_failure import failure_of
from timebill_ros.worker.protocol import Failed


def chained(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number), '/cache')


@pytest.mark.parametrize(
    'error',
    [
        ConnectionError('no network'),
        TimeoutError('no answer'),
        torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 20 MiB'),
        RuntimeError('CUDA error: out of memory'),
        chained(ValueError("model 'm' cannot be put on 'cuda'"), torch.OutOfMemoryError('full')),
        chained(OSError('could not connect'), ConnectionError('refused')),
    ],
    ids=repr,
)
def test_a_network_and_a_full_gpu_may_come_right(error: Exception) -> None:
    failed = failure_of(error, 'm')
    assert failed.may_pass
    assert str(error) in failed.detail


@pytest.mark.parametrize(
    ('error', 'sentence'),
    [
        (ValueError('model m does not exist'), 'model m does not exist'),
        (
            chained(ValueError('model m: no file'), RuntimeError('No space left on device')),
            'model m: no file; free some room, or set XDG_CACHE_HOME to a folder on another disk',
        ),
        (
            chained(ValueError('set XDG_CACHE_HOME'), os_error(errno.EROFS)),
            'set XDG_CACHE_HOME',
        ),
        (
            AttributeError("'X' object has no attribute 'layers'"),
            "model 'm' cannot be served (AttributeError: 'X' object has no attribute 'layers'); "
            'the log has more at the level debug',
        ),
        (
            KeyError('timebill'),
            "model 'm' cannot be served (KeyError: 'timebill'); "
            'the log has more at the level debug',
        ),
        (
            NotImplementedError(),
            "model 'm' cannot be served (NotImplementedError); "
            'the log has more at the level debug',
        ),
        (
            os_error(errno.ENOSPC),
            "model 'm' cannot be loaded: [Errno 28] No space left on device: '/cache'; "
            'free some room, or set XDG_CACHE_HOME to a folder on another disk',
        ),
        (
            os_error(errno.EROFS),
            "model 'm' cannot be loaded: [Errno 30] Read-only file system: '/cache'; "
            'set XDG_CACHE_HOME to a folder that can be written',
        ),
        (
            os_error(errno.EACCES),
            "model 'm' cannot be loaded: [Errno 13] Permission denied: '/cache'; "
            "give the node's user the right to it",
        ),
        (
            MemoryError(),
            "there is too little memory for 'm' (MemoryError); "
            'free some memory, or choose a smaller model',
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
            "there is too little memory for 'm' (RuntimeError: DefaultCPUAllocator: can't "
            'allocate memory: you tried to allocate); free some memory, or choose a smaller model',
        ),
        (
            ImportError('libcudart.so.12: cannot open shared object file'),
            'the libraries of the inference cannot be imported (ImportError: libcudart.so.12: '
            'cannot open shared object file)',
        ),
        (FileNotFoundError('no tokenizer'), "model 'm' cannot be loaded: no tokenizer"),
    ],
    ids=repr,
)
def test_what_would_happen_again_is_one_sentence(error: Exception, sentence: str) -> None:
    assert failure_of(error, 'm') == Failed(sentence)


def test_a_long_text_of_a_library_becomes_a_line() -> None:
    detail = failure_of(RuntimeError(f'shapes {"1, " * 1000}\nat kernel.cpp'), 'm').detail
    assert len(detail) < 650
    assert '\n' not in detail and 'kernel.cpp' not in detail
