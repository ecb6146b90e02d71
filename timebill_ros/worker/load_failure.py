"""Why a model cannot be loaded: one sentence, and whether to try again."""

import errno
import socket
from collections.abc import Iterator

from timebill_ros.core.shortened import shortened
from timebill_ros.worker.protocol import Failed

_LONGEST_DETAIL = 500
_NO_GPU_MEMORY = ('OutOfMemoryError',)
"""torch's class. It is known by its name: this module must not need torch to tell of its failure.
"""
_OFFLINE = (ConnectionError, TimeoutError, socket.gaierror)
_NO_NETWORK = ('ConnectError', 'ConnectTimeout', 'ReadTimeout', 'LocalEntryNotFoundError')
"""Others of httpx and huggingface_hub."""
_LESS_MEMORY = 'free some memory, or choose a smaller model'
_WHAT_HELPS = {
    errno.ENOSPC: 'free some room, or set XDG_CACHE_HOME to a folder on another disk',
    errno.EDQUOT: 'free some room, or set XDG_CACHE_HOME to a folder on another disk',
    errno.EROFS: 'set XDG_CACHE_HOME to a folder that can be written',
    errno.EACCES: "give the node's user the right to it",
    errno.EPERM: "give the node's user the right to it",
    errno.ENOMEM: _LESS_MEMORY,
}


def failure_of(error: Exception, model: str) -> Failed:
    """Return what to tell the node of an error while a model is loaded.

    Only a network that is not there and a full GPU may pass. Whatever else has happened would
    happen again.

    Arguments:
        error: a ValueError's text is a sentence already.
        model: the parameter.
    """
    chain = list(_chain(error))
    if any(_is_of_full_gpu(link) for link in chain):
        sentence = _sentence(error, f'model {model!r} finds no memory on the GPU')
        return Failed(f'{sentence}; another process may hold it', may_pass=True)
    if any(isinstance(link, _OFFLINE) or _is_of(link, _NO_NETWORK) for link in chain):
        return Failed(_sentence(error, f'model {model!r} cannot be downloaded'), may_pass=True)
    helps = next(filter(None, map(_what_helps, chain)), '')
    sentence = _lasting(error, model)
    # A sentence of ours may say it already.
    says_it = not helps or 'XDG_CACHE_HOME' in sentence or helps in sentence
    return Failed(sentence if says_it else f'{sentence}; {helps}')


def _lasting(error: Exception, model: str) -> str:
    cannot_be_loaded = f'model {model!r} cannot be loaded'
    if isinstance(error, ValueError):
        return _sentence(error, cannot_be_loaded)
    if isinstance(error, ImportError):
        return _sentence(error, 'the libraries of the inference cannot be imported')
    if _is_of_memory(error):
        return _sentence(error, f'there is too little memory for {model!r}')
    if isinstance(error, OSError):
        return _sentence(error, cannot_be_loaded)
    sentence = _sentence(error, f'model {model!r} cannot be served')
    return f'{sentence}; the log has more at the level debug'


def _what_helps(error: BaseException) -> str:
    if _is_of_memory(error):
        return _LESS_MEMORY
    if 'No space left on device' in str(error):  # safetensors has an error of its own
        return _WHAT_HELPS[errno.ENOSPC]
    return _WHAT_HELPS.get(error.errno or 0, '') if isinstance(error, OSError) else ''


def _is_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or 'allocate memory' in str(error)


def _sentence(error: Exception, what: str) -> str:
    """Return what has failed and why; a ValueError or ConnectionError of ours says both."""
    text = shortened(str(error).strip().partition('\n')[0], _LONGEST_DETAIL)
    if text and type(error) in (ValueError, ConnectionError):
        return text
    if isinstance(error, OSError) and text:
        return f'{what}: {text}'
    return f'{what} ({type(error).__name__}{f": {text}" if text else ""})'


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what has caused it."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _is_of_full_gpu(error: BaseException) -> bool:
    # Without room for its context, CUDA fails by an error of another class.
    return _is_of(error, _NO_GPU_MEMORY) or 'CUDA error: out of memory' in str(error)


def _is_of(error: BaseException, names: tuple[str, ...]) -> bool:
    return any(kind.__name__ in names for kind in type(error).__mro__)
