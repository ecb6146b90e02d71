"""A prompt that has been read."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from timebill_ros.inference.cache.kv_cache import KVCache
from timebill_ros.inference.cache.observation_window import ObservationWindow
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.step.answer_steps import AnswerSteps


@dataclass
class Prefilled:
    """The state between prefill and decoding.

    Arguments:
        cache: the prompt's KV cache.
        logits: (vocabulary,), fp32, for the first token of the response.
        prompt_ids: (prompt_tokens,).
        observed: what the prompt's last tokens asked the attention for.
        interrupt: of the prefill; an eviction looks at it too.
        steps: write the answer; None: it has not begun.
    """

    cache: KVCache
    logits: torch.Tensor
    prompt_ids: torch.Tensor
    observed: ObservationWindow
    interrupt: Interrupt
    steps: AnswerSteps | None = None

    def at_rest(self) -> AbstractContextManager[KVCache]:
        """Yield the cache with all that was read and written; the answer goes on afterwards."""
        return nullcontext(self.cache) if self.steps is None else self.steps.leave()
