"""The decoding step on a GPU: recorded once as a CUDA graph for each cache size, then replayed.

A step of a small model has hundreds of kernels of a few microseconds. Starting them one by one
from Python takes longer than running them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from timebill_ros.inference.cache.kv_cache import KVCache
from timebill_ros.inference.cache.static_cache import StaticCache
from timebill_ros.inference.step.generic_step import GenericStep, forward
from timebill_ros.inference.step.one_by_one import OneByOne

BUCKET_TOKENS = 256
"""Graphs attend to multiples of this number of tokens. What is not written yet is masked."""
LARGEST_CACHE_TOKENS = 16384
"""Longer caches take the generic step."""


def why_not(model: Any) -> str:
    """Return why a model's step cannot be recorded, as a clause; '' if it can."""
    if model.device.type != 'cuda':
        return f'the model is on {model.device.type}'
    kinds = getattr(model.config.get_text_config(), 'layer_types', None) or ['full_attention']
    sliding = getattr(model.config.get_text_config(), 'sliding_window', None)
    if set(kinds) != {'full_attention'} or (
        sliding and not getattr(model.config, 'layer_types', None)
    ):
        return 'some of its layers attend to a window'
    return ''


@dataclass(frozen=True)
class _Answer:
    """An answer that has begun.

    Arguments:
        cache: of its prompt. New tokens are written there only when the answer is left.
        position: of its next token, when it is left.
    """

    cache: KVCache
    position: int


class GraphStep(OneByOne):
    """Runs one token through the model.

    Arguments:
        model: one for which why_not() is ''. On a CPU, steps run without being recorded.
        bucket_tokens: graphs are recorded for multiples of this number of cached tokens.
        capacity: greatest number of cached tokens. Longer answers take the generic step.

    Raises:
        RuntimeError: some layers have no keys and values of their own, or a GPU cannot record it.
        Exception: whatever a model raises that does not run on a plain cache.
    """

    name = f'cuda graph {BUCKET_TOKENS}'

    def __init__(
        self,
        model: Any,
        bucket_tokens: int = BUCKET_TOKENS,
        capacity: int = LARGEST_CACHE_TOKENS,
    ) -> None:
        self._model, self._bucket_tokens = model, bucket_tokens
        longest = getattr(model.config.get_text_config(), 'max_position_embeddings', capacity)
        capacity = min(capacity, self.attended_tokens(longest))
        # Configurations name these sizes in many ways, and not all have them.
        one = KVCache(model.config, 1, lambda: None)
        token = torch.zeros(1, dtype=torch.long, device=model.device)
        logits = forward(model, token, 0, one)
        if one.memory is None:
            raise RuntimeError('some of its layers have no keys and values of their own')
        self._generic = GenericStep(model)
        self._cache = StaticCache(one.memory, capacity)
        self._token = torch.zeros(1, 1, dtype=torch.long, device=model.device)
        self._position = torch.zeros(1, 1, dtype=torch.long, device=model.device)
        self._places = torch.arange(capacity, device=model.device)
        self._logits = torch.zeros_like(logits)
        self._answer: _Answer | None = None
        self._length = 0
        self._graphs: dict[int, Any] = {}
        if model.device.type == 'cuda':
            self._record_all()

    @property
    def nbytes(self) -> int:
        """What the cache takes that all answers share [bytes]."""
        return self._cache.nbytes

    @property
    def graphs(self) -> int:
        """How many graphs are recorded."""
        return len(self._graphs)

    def attended_tokens(self, cached_tokens: int) -> int:
        """Return how many tokens a step attends to: the end of a bucket."""
        return -(-cached_tokens // self._bucket_tokens) * self._bucket_tokens

    @contextmanager
    def answering(
        self, cache: KVCache, position: int, max_new_tokens: int
    ) -> Iterator['GraphStep | GenericStep']:
        """Begin an answer; see GenericStep."""
        length = cache.layers[0].length
        if length + max_new_tokens > self._cache.capacity:
            with self._generic.answering(cache, position, max_new_tokens) as step:
                yield step
            return
        left = self._left()
        self._go_on_with(_Answer(cache, position))
        try:
            yield self
        finally:
            self._go_on_with(left)

    @contextmanager
    def leave(self) -> Iterator[KVCache]:
        """Leave the answer for a while; see GenericStep."""
        left = self._left()
        assert left is not None, 'an answer has begun'
        yield left.cache
        self._go_on_with(left)

    def _left(self) -> _Answer | None:
        """Return the answer that has begun, with all its tokens in its own cache; None: none."""
        if self._answer is None or self._answer.cache.is_freed:
            return None
        with torch.inference_mode():
            self._cache.give_back(self._answer.cache, self._length)
        return _Answer(self._answer.cache, int(self._position))

    def _go_on_with(self, answer: _Answer | None) -> None:
        if answer is not None and answer.cache.is_freed:
            answer = None  # it was dropped meanwhile
        self._answer = answer
        if answer is not None:
            self._length = answer.cache.layers[0].length
            with torch.inference_mode():
                self._cache.take(answer.cache)
                self._position.fill_(answer.position)

    def logits(self, token: torch.Tensor) -> torch.Tensor:
        """Append a token, a tensor of no dimensions; return the next one's logits in fp32.

        The result is the same tensor at each step. You may write to it.
        """
        self._length += 1
        bucket = self.attended_tokens(self._length)
        with torch.inference_mode():
            self._token.copy_(token)
            graph = self._graphs.get(bucket)
            if graph is not None:
                graph.replay()
            else:
                self._run(bucket)
        return self._logits

    def rewind(self, tokens: int) -> None:
        """Take the newest tokens back."""
        assert self._answer is not None, 'an answer has begun'
        self._length -= tokens
        for layer in self._answer.cache.layers:
            layer.length = min(layer.length, self._length)
        with torch.inference_mode():
            self._cache.cursor.sub_(tokens)
            self._position.sub_(tokens)

    def _run(self, bucket: int) -> None:
        self._cache.show(bucket)
        output = self._model(
            input_ids=self._token,
            position_ids=self._position,
            # In four dimensions it goes to the attention as it is.
            attention_mask=(self._places[:bucket] <= self._cache.cursor)[None, None, None],
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._logits.copy_(output.logits[0, -1])
        self._cache.cursor.add_(1)
        self._position.add_(1)

    def _record_all(self) -> None:
        """Record a graph for each size. The largest is first: the others reuse its memory."""
        pool, current = torch.cuda.graph_pool_handle(), torch.cuda.current_stream()
        sizes = range(self._cache.capacity, 0, -self._bucket_tokens)
        # A recording that fails would leave its own stream for the current one.
        with torch.inference_mode(), torch.cuda.stream(current):
            stream = torch.cuda.Stream()
            stream.wait_stream(current)
            with torch.cuda.stream(stream):
                for _ in range(3):  # libraries choose their kernels on the first calls
                    self._cache.cursor.zero_()
                    self._run(sizes[0])
            current.wait_stream(stream)
            for bucket in sizes:
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph, pool=pool):
                    self._run(bucket)
                self._graphs[bucket] = graph
