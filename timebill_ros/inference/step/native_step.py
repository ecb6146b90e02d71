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
    NEVER_NS,
    Pass,
)
from timebill_ros.inference.step.native_model import NativeModel
from timebill_ros.inference.step.one_by_one import OneByOne
from timebill_ros.inference.step.packed_modules import PackedEmbedding
from timebill_ros.inference.step.packed_weight import PackedWeight
from timebill_ros.inference.step.torch_threads import torch_threads

FAMILIES = ('LlamaForCausalLM', 'MistralForCausalLM', 'Qwen2ForCausalLM', 'Qwen3ForCausalLM')
"""transformers' classes whose layers the library computes."""

LEAST_TOGETHER, MOST_TOGETHER = 4, 32
"""Appended tokens that go through the model together: fewer are sooner done one by one; more would
leave the interrupt unasked for too long."""
STEPS_OF_A_PASS = 2
"""A pass over so many takes about as long as that: 1.1 steps with plain weights, 1.8 with 8-bit
and 2.2 with 4-bit weights, which have to be unpacked."""


def why_not(model: Any) -> str:
    """Return why a model's step cannot be run natively, as a clause; '' if it can."""
    config, kind = model.config, type(model).__name__
    if no_library := decoder_library.why_not():
        return no_library
    if model.device.type not in ('cpu', 'meta'):  # no weights yet: they will be on the CPU
        return f'the model is on {model.device.type}'
    if kind not in FAMILIES:
        return f'{kind} is not one of {", ".join(FAMILIES)}'
    if model.dtype not in (torch.float32, torch.bfloat16):
        return f'dtype is {model.dtype}, not float32 or bfloat16'
    if config.hidden_act != 'silu':
        return f'its activation is {config.hidden_act}, not silu'
    head_size = model.model.layers[0].self_attn.head_dim
    if head_size % 32 or head_size > decoder_library.LARGEST_HEAD:
        return f'its heads have {head_size} elements, not a multiple of 32 up to 256'
    if config.hidden_size % 32 or config.intermediate_size % 32:
        return 'its layers have no multiple of 32 elements'
    return ''


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
    """Runs one token through the model.

    Arguments:
        model: one for which why_not() is ''. The step reads its weights in place.
        quantized: weights that replace the model's, by their module's name.
        threads: number of threads.
        instruction_set: rank among decoder_library.instruction_sets(); 0 is the best.

    Raises:
        RuntimeError: there is not enough memory, or the system has no more threads.
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
        self._logits = torch.empty(model.lm_head.out_features)
        library = decoder_library.library()
        assert library is not None, 'why_not() says so'
        self._library = library
        self._decoder = ctypes.c_void_p()
        library.timebill_decoder_create(
            ctypes.byref(self._native.described),
            threads,
            instruction_set,
            ctypes.byref(self._decoder),
        )
        weakref.finalize(self, library.timebill_decoder_destroy, self._decoder)

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
        answer = self._answer
        assert answer is not None, 'an answer has begun'
        if answer.count == len(answer.cosine):
            raise RuntimeError(f'this answer was to have {answer.count} steps at most')
        embedding = self.embedded(token[None])
        offset = answer.count * answer.cosine.stride(0) * answer.cosine.itemsize
        self._library.timebill_decoder_step(
            self._decoder,
            embedding.data_ptr(),
            answer.cosine.data_ptr() + offset,
            answer.sine.data_ptr() + offset,
            self._logits.data_ptr(),
        )
        answer.count += 1
        for layer in answer.cache.layers:
            layer.length += 1
        return self._logits

    def append(self, ids: Sequence[int], check: Callable[[], None]) -> torch.Tensor:
        """Append tokens, at least one; see logits() and OneByOne.

        Several go through the model together: their weights are read once.
        """
        for first in range(0, len(ids), MOST_TOGETHER):
            if first:
                check()
            run = ids[first : first + MOST_TOGETHER]
            logits = super().append(run, check) if len(run) < LEAST_TOGETHER else self._pass(run)
        return logits

    def steps_of(self, tokens: int) -> int:
        """Return how many steps take about as long as append() of so many tokens."""
        runs, rest = divmod(tokens, MOST_TOGETHER)
        return runs * STEPS_OF_A_PASS + (rest if rest < LEAST_TOGETHER else STEPS_OF_A_PASS)

    def _pass(self, ids: Sequence[int]) -> torch.Tensor:
        answer, tokens = self._answer, len(ids)
        assert answer is not None, 'an answer has begun'
        if answer.count + tokens > len(answer.cosine):
            raise RuntimeError(f'this answer was to have {len(answer.cosine)} steps at most')
        hidden = self.embedded(torch.tensor(ids))
        self._library.timebill_decoder_prefill(
            self._decoder,
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
        return self._logits

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
    def reading(self, cache: KVCache) -> Iterator[Callable[[Pass], bool]]:
        """Work on a cache, and go on with the answer that had begun afterwards.

        Yields:
            What runs a pass and returns whether it came to its end. It raises RuntimeError if the
            cache is full or there is not enough memory; nothing was written then.
        """

        def run(described: Pass) -> bool:
            run_pass = self._library.timebill_decoder_prefill
            return bool(run_pass(self._decoder, ctypes.byref(described)) != INTERRUPTED)

        self._take(cache)
        try:
            with torch_threads(1):
                yield run
        finally:
            self._go_on_with(self._answer)
