"""llama.cpp and ik_llama.cpp."""

import ctypes
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .server import scored


class Llama:
    """llama.cpp, or what came of it: both have this part of their interface alike.

    Arguments:
        cpp: its functions.
        context: what llama_init_from_model() has made.
        vocabulary: number of tokens.
        clear: empties the cache.
        file: the weights.
        owner: frees the memory when it goes.
    """

    def __init__(
        self,
        cpp: Any,
        context: Any,
        vocabulary: int,
        clear: Callable[[], Any],
        file: str,
        owner: Any = None,
    ) -> None:
        self._cpp, self._context, self._clear, self._owner = cpp, context, clear, owner
        self._vocabulary = vocabulary
        self.weight_bytes = Path(file).stat().st_size

    def generate(self, ids: list[int], tokens: int, plainly: bool) -> dict[str, Any]:
        """See Arm."""
        self._clear()
        prompt, step = self._batch(ids), self._batch([0])
        answer: list[int] = []
        known_s: list[float] = []
        start_s = time.perf_counter()
        self._run(prompt)
        while True:
            answer.append(int(self._logits(-1).argmax()))
            known_s.append(time.perf_counter() - start_s)
            if len(answer) == tokens:
                break
            step.token[0] = answer[-1]
            step.pos[0] = len(ids) + len(answer) - 1
            self._run(step)
        self._cpp.llama_batch_free(prompt)
        self._cpp.llama_batch_free(step)
        return {'tokens': answer, 'known_s': known_s, 'unchecked_s': known_s[0]}

    def read(self, ids: list[int]) -> dict[str, Any]:
        """See Arm."""
        self._clear()
        batch = self._batch(ids[:-1])
        for index in range(len(ids) - 1):
            batch.logits[index] = 1
        self._run(batch)
        rows = np.stack([self._logits(index) for index in range(len(ids) - 1)])
        self._cpp.llama_batch_free(batch)
        return scored(rows, ids[1:])

    def _batch(self, ids: list[int]) -> Any:
        batch = self._cpp.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for index, token in enumerate(ids):
            batch.token[index] = token
            batch.pos[index] = index
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = 0
            batch.logits[index] = int(index + 1 == len(ids))
        return batch

    def _run(self, batch: Any) -> None:
        if status := self._cpp.llama_decode(self._context, batch):
            raise RuntimeError(f'llama_decode returned {status}')

    def _logits(self, index: int) -> npt.NDArray[np.float32]:
        found = self._cpp.llama_get_logits_ith(self._context, index)
        return np.ctypeslib.as_array(found, (self._vocabulary,))


def llama_cpp(file: str, context: int, threads: int, packs: bool) -> Llama:
    """Load llama.cpp with flash attention.

    Arguments:
        packs: it may pack weights for AMX. It dies of that on some machines.
    """
    import llama_cpp.llama_cpp as cpp

    cpp.llama_backend_init()
    of_model = cpp.llama_model_default_params()
    of_model.use_extra_bufts = packs
    model = cpp.llama_model_load_from_file(file.encode(), of_model)
    params = cpp.llama_context_default_params()
    params.n_ctx = params.n_batch = context
    params.n_threads = params.n_threads_batch = threads
    params.flash_attn_type = cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
    made = cpp.llama_init_from_model(model, params)
    vocabulary = cpp.llama_vocab_n_tokens(cpp.llama_model_get_vocab(model))
    memory = cpp.llama_get_memory(made)
    return Llama(cpp, made, vocabulary, lambda: cpp.llama_memory_clear(memory, True), file)


def ik_llama_cpp(file: str, context: int, threads: int, _packs: bool) -> Llama:
    """Load ik_llama.cpp with flash attention, where the CPU has AVX-VNNI: it fails elsewhere."""
    # Built from its source, its library does not know where the other one is.
    package = find_spec('ik_llama_cpp')
    for folder in package.submodule_search_locations or () if package else ():
        for library in Path(folder).glob('lib/libggml.so'):
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    import ik_llama_cpp._ctypes_api as cpp
    from ik_llama_cpp._internals import IkContext, IkModel

    flash = 'avx_vnni' in Path('/proc/cpuinfo').read_text()
    model = IkModel(file)
    made = IkContext(model, n_ctx=context, n_threads=threads, flash_attn=flash)
    return Llama(
        cpp, made.ctx, model.n_vocab, lambda: cpp.llama_kv_cache_clear(made.ctx), file, owner=made
    )
