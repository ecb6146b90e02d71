"""Llama-like models on a CPU, compiled: one token, or many together; see src/decoder_step.cpp."""

import ctypes
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from timebill_ros.inference.cache.kv_cache import KVCache
from timebill_ros.inference.step import decoder_library
from timebill_ros.inference.step.decoder_library import (
    INTERRUPTED,
    MOST_TOKENS,
    NEVER_NS,
    Pass,
)
from timebill_ros.inference.step.native_model import NativeModel
from timebill_ros.inference.step.one_by_one import OneByOne
from timebill_ros.inference.step.packed_modules import PackedEmbedding
from timebill_ros.inference.step.packed_weight import PackedWeight
from timebill_ros.inference.step.torch_threads import torch_threads

MOST_TOGETHER = 32
"""Appended tokens that go through the model together: more would leave the interrupt unasked for
too long."""
STEPS_OF_A_PASS = 2.0
"""A pass over more tokens than a step takes: 1.1 steps with plain weights, 1.8 with 8-bit and 2.2
with 4-bit weights, which have to be unpacked."""
USUAL_COSTS = (1.0, 1.3, 1.5, 1.8)
"""Of a step over 1, 2, ... tokens, until they are measured [steps over one]."""


@dataclass
class _Answer:
    """What the library works on.

    Arguments:
        cosine, sine: (max_new_tokens, head_dim), of the rotary embedding.
        threads: of torch, outside of steps.
        count: of the steps that were taken.
    """

    cache: KVCache
    cosine: torch.Tensor
    sine: torch.Tensor
    threads: int
    count: int = 0


class NativeStep(OneByOne):
    """Runs one to four tokens through the model: its weights are read once.

    Arguments:
        model: one for which native_families.why_not() is ''. The step reads its weights in place.
        quantized: weights that replace the model's, by their module's name.
        threads: number of threads.
        instruction_set: rank among decoder_library.instruction_sets(); 0 is the best.

    Raises:
        RuntimeError: there is not enough memory, or the system has no more threads.

    `costs` are the times of a step over 1, 2, ... tokens, in steps over one. `decoder` is what the
    library's functions work on.
    """

    def __init__(
        self,
        model: Any,
        quantized: Mapping[str, PackedWeight],
        threads: int,
        instruction_set: int = 0,
    ) -> None:
        self.name = f'native {decoder_library.instruction_sets()[instruction_set]}'
        self._model = model
        self._answer: _Answer | None = None
        self._native = NativeModel(model, quantized)
        self._layers = self._native.layers
        self._logits = torch.empty(MOST_TOKENS, model.lm_head.out_features)
        self.vocabulary = int(model.lm_head.out_features)
        self.costs: tuple[float, ...] = USUAL_COSTS
        library = decoder_library.library()
        assert library is not None, 'why_not() says so'
        self._library = library
        self.decoder = ctypes.c_void_p()
        library.timebill_decoder_create(
            ctypes.byref(self._native.described),
            threads,
            instruction_set,
            ctypes.byref(self.decoder),
        )
        weakref.finalize(self, library.timebill_decoder_destroy, self.decoder)

    @property
    def nbytes(self) -> int:
        """Bytes of weights that a step reads."""
        return self._native.nbytes

    @contextmanager
    def answering(
        self, cache: KVCache, position: int, max_new_tokens: int
    ) -> Iterator['NativeStep']:
        """Begin an answer; see GenericStep."""
        left = self._answer
        rotary, threads = self.rotary(position, max_new_tokens), torch.get_num_threads()
        self._go_on_with(_Answer(cache, *rotary, threads))
        try:
            with torch_threads(1):
                yield self
        finally:
            self._go_on_with(left)

    @contextmanager
    def leave(self) -> Iterator[KVCache]:
        """Leave the answer for a while; see GenericStep."""
        answer = self._answer
        assert answer is not None, 'an answer has begun'
        with torch_threads(answer.threads):
            yield answer.cache
        self._take(answer.cache)

    def logits(self, token: torch.Tensor) -> torch.Tensor:
        """Append a token, a tensor of no dimensions; return the next one's logits in fp32.

        The result is the same tensor at each step. You may write to it.

        Raises:
            RuntimeError: a layer's cache is full, or max_new_tokens were appended already. Nothing
                was written.
        """
        return self._step(token[None], self._logits)[0]

    def several(self, ids: Sequence[int], logits: torch.Tensor) -> torch.Tensor:
        """Append one to four tokens; return the logits after each of them, (tokens, vocabulary).

        They are what logits() would return for one token after the other, bit for bit.

        Arguments:
            ids: the tokens.
            logits: memory for the result, (4, vocabulary), fp32.

        Raises:
            RuntimeError: as for logits().
        """
        return self._step(torch.tensor(ids), logits)

    @property
    def room(self) -> int:
        """Return how many tokens may still be appended to this answer."""
        assert self._answer is not None, 'an answer has begun'
        return len(self._answer.cosine) - self._answer.count

    def append(self, ids: Sequence[int], check: Callable[[], None]) -> torch.Tensor:
        """Append tokens, at least one; see logits() and OneByOne.

        Several go through the model together: their weights are read once.
        """
        for first in range(0, len(ids), MOST_TOGETHER):
            if first:
                check()
            run = ids[first : first + MOST_TOGETHER]
            is_step = self.is_step(len(run))
            logits = self.several(run, self._logits)[-1] if is_step else self._pass(run)
        return logits

    def is_step(self, tokens: int) -> bool:
        """Return whether append() takes so many tokens as a step; else as a pass."""
        return tokens <= MOST_TOKENS and self.costs[tokens - 1] <= STEPS_OF_A_PASS

    def steps_of(self, tokens: int) -> float:
        """Return how many steps take about as long as append() of so many tokens."""
        runs, rest = divmod(tokens, MOST_TOGETHER)
        if rest and not self.is_step(rest):
            runs, rest = runs + 1, 0
        return runs * STEPS_OF_A_PASS + (self.costs[rest - 1] if rest else 0.0)

    def _step(self, ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        answer, tokens = self._answer, len(ids)
        assert answer is not None, 'an answer has begun'
        if tokens > self.room:
            raise RuntimeError(f'this answer was to have {len(answer.cosine)} steps at most')
        embedded = self.embedded(ids)
        offset = answer.count * answer.cosine.stride(0) * answer.cosine.itemsize
        self._library.timebill_decoder_step(
            self.decoder,
            tokens,
            embedded.data_ptr(),
            answer.cosine.data_ptr() + offset,
            answer.sine.data_ptr() + offset,
            logits.data_ptr(),
        )
        answer.count += tokens
        for layer in answer.cache.layers:
            layer.length += tokens
        return logits[:tokens]

    def _pass(self, ids: Sequence[int]) -> torch.Tensor:
        answer, tokens = self._answer, len(ids)
        assert answer is not None, 'an answer has begun'
        if tokens > self.room:
            raise RuntimeError(f'this answer was to have {len(answer.cosine)} steps at most')
        hidden = self.embedded(torch.tensor(ids))
        self._library.timebill_decoder_prefill(
            self.decoder,
            ctypes.byref(
                Pass(
                    tokens=tokens,
                    last_layer=len(self._layers),
                    rows=1,
                    logit_rows=1,
                    hidden=hidden.data_ptr(),
                    cosine=answer.cosine[answer.count :].data_ptr(),
                    sine=answer.sine[answer.count :].data_ptr(),
                    logits=self._logits.data_ptr(),
                    deadline_ns=NEVER_NS,
                )
            ),
        )
        answer.count += tokens
        for layer in answer.cache.layers:
            layer.length += tokens
        return self._logits[0]

    def rewind(self, tokens: int) -> None:
        """Take the newest tokens back."""
        assert self._answer is not None, 'an answer has begun'
        self._answer.count -= tokens
        for layer, cached in zip(self._layers, self._answer.cache.layers, strict=True):
            layer.length -= tokens
            cached.length -= tokens

    def _go_on_with(self, answer: '_Answer | None') -> None:
        self._answer = answer
        if answer is not None:
            self._take(answer.cache)

    def _take(self, cache: KVCache) -> None:
        for layer, cached in zip(self._layers, cache.layers, strict=True):
            layer.keys, layer.values = cached.keys.data_ptr(), cached.values.data_ptr()
            layer.capacity, layer.length = cached.capacity, cached.length
            layer.window = self._model.config.sliding_window if cached.is_sliding else 0

    def rotary(self, position: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return cosine and sine of some positions, each (tokens, head_size), fp32."""
        positions = torch.arange(position, position + tokens)[None]
        with torch.inference_mode():
            cosine, sine = self._model.model.rotary_emb(torch.empty(0), positions)
        return cosine[0].contiguous(), sine[0].contiguous()

    def embedded(self, ids: torch.Tensor) -> torch.Tensor:
        """Return a new tensor of embeddings, (tokens, hidden), fp32."""
        embedding = self._model.model.embed_tokens
        if isinstance(embedding, PackedEmbedding):
            return embedding.packed.lookup(ids)
        embedded: torch.Tensor = embedding.weight.detach()[ids].float().contiguous()
        return embedded

    @contextmanager
    def holding(self, cache: KVCache) -> Iterator[ctypes.c_void_p]:
        """Work on a cache, and go on with the answer that had begun afterwards.

        Yields:
            The library's decoder, for functions that work on this cache.
        """
        self._take(cache)
        try:
            yield self.decoder
        finally:
            self._go_on_with(self._answer)

    @contextmanager
    def reading(self, cache: KVCache) -> Iterator[Callable[[Pass], bool]]:
        """Read into a cache; see holding().

        Yields:
            What runs a pass and returns whether it came to its end. It raises RuntimeError if the
            cache is full or there is not enough memory; nothing was written then.
        """
        run_pass = self._library.timebill_decoder_prefill
        with self.holding(cache) as decoder, torch_threads(1):
            yield lambda described: bool(run_pass(decoder, ctypes.byref(described)) != INTERRUPTED)
