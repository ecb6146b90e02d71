"""Reads a prompt through the compiled library, chunk by chunk."""

from typing import Any

import torch

from timebill_ros.inference.cache.kv_cache import KVCache
from timebill_ros.inference.cache.observation_window import recorder
from timebill_ros.inference.interrupt import Interrupt, InterruptedGenerationError
from timebill_ros.inference.length.prefill_states import state_reader
from timebill_ros.inference.step.decoder_library import Pass
from timebill_ros.inference.step.native_step import NativeStep


class NativePrefill:
    """Reads one prompt.

    What is recorded of a model's modules elsewhere is recorded here too: the queries of the
    observation window, and the states that a predictor reads.

    Arguments:
        step: has the model's weights and threads.
        model: the same model, of transformers.
        cache: of the tokens before the first chunk.
        prompt_tokens: length of the prompt.
        interrupt: looked at every few milliseconds, while the library computes.
    """

    def __init__(
        self,
        step: NativeStep,
        model: Any,
        cache: KVCache,
        prompt_tokens: int,
        interrupt: Interrupt,
    ) -> None:
        self._step = step
        self._cache = cache
        self._prompt_tokens = prompt_tokens
        self._interrupt = interrupt
        config = model.config
        self._layers = int(config.num_hidden_layers)
        self._vocabulary = int(model.lm_head.out_features)
        head_size = model.model.layers[0].self_attn.head_dim
        self._queries = (self._layers, int(config.num_attention_heads), -1, head_size)
        self._scaling = model.model.layers[0].self_attn.scaling
        self._dtype = model.dtype
        empty = torch.empty(1, config.num_key_value_heads, 0, head_size, dtype=model.dtype)
        for layer in cache.layers:
            if not layer.is_initialized:
                layer.lazy_initialization(empty, empty)

    def read(self, ids: torch.Tensor, position: int) -> torch.Tensor | None:
        """Append a chunk to the cache.

        Arguments:
            ids: (tokens,).
            position: of the first of them in the prompt.

        Returns:
            The last token's logits, (vocabulary,), fp32; None: more chunks are to come.

        Raises:
            InterruptedGenerationError: the interrupt was due. The cache is as it was before.
            RuntimeError: there is not enough memory.
        """
        self._interrupt.check()
        tokens, following = len(ids), self._prompt_tokens - position - len(ids)
        hidden = self._step.embedded(ids)
        cosine, sine = self._step.rotary(position, tokens)
        logits = torch.empty(self._vocabulary) if following == 0 else None
        window = recorder()
        seen = max(0, min(tokens, window.length - following)) if window is not None else 0
        queries = torch.empty(
            [seen if size == -1 else size for size in self._queries], dtype=self._dtype
        )
        log_sums = torch.empty(*self._queries[:2], seen)
        reader = state_reader()
        wanted = set() if reader is None else set(reader.layers)
        first = 0
        with self._step.reading(self._cache) as run:
            for last in sorted(wanted | {self._layers}):
                is_end = last == self._layers
                logit_rows = int(is_end and logits is not None)
                described = Pass(
                    tokens=tokens,
                    first_layer=first,
                    last_layer=last,
                    rows=tokens if last in wanted else logit_rows,
                    logit_rows=logit_rows,
                    observed_rows=seen,
                    hidden=hidden.data_ptr(),
                    cosine=cosine.data_ptr(),
                    sine=sine.data_ptr(),
                    logits=None if logits is None else logits.data_ptr(),
                    observed=queries.data_ptr(),
                    log_sums=log_sums.data_ptr(),
                    abort=self._interrupt.abort.address,
                    deadline_ns=self._interrupt.at_ns,
                )
                if not run(described):
                    raise InterruptedGenerationError
                self._interrupt.was_checked(described.longest_unchecked_ns / 1e9)
                if reader is not None and last in wanted:
                    reader.see(last, hidden)
                first = last
        for cached in self._cache.layers:
            cached.length += tokens
        if window is not None and seen:
            for layer in range(self._layers):
                window.see(layer, queries[layer][None], self._scaling, None, log_sums[layer])
        return logits
