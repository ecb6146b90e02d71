"""One prefill, evicted in several ways that keep as many tokens; all go through the model at once.

This is several times cheaper than one after the other, where only likelihoods are wanted.
"""

import math
from collections.abc import Sequence

import torch

from benchmark.eviction.contenders import Make
from benchmark.eviction.evicted_answers import NEVER
from timebill_ros.inference.cache.eviction import kept_positions
from timebill_ros.inference.cache.kv_cache import KVCache
from timebill_ros.inference.cache.scorers.scorer import Scorer
from timebill_ros.inference.engine import Engine


class EvictedTogether:
    """Evicts one prompt in several ways.

    Arguments:
        engine: used by no one else meanwhile; its model has no sliding layers.
        token_ids: the prompt.
        arms: the ways.
    """

    def __init__(self, engine: Engine, token_ids: list[int], arms: Sequence[Make]) -> None:
        self._engine = engine
        self._token_ids = token_ids
        self._arms = arms
        self._prefilled = engine.prefill(token_ids, 1, NEVER)

    def log_likelihoods(self, answer: list[int], ratios: Sequence[float]) -> list[list[float]]:
        """Return the mean log-likelihood of an answer's tokens [nats], by ratio and arm.

        Arguments:
            answer: at least two tokens. The first one's likelihood is that of the whole prompt.
        """
        kept = [self._kept(ratio) for ratio in ratios]
        with torch.inference_mode():
            caches = self._evicted(kept, len(answer))
            return [self._log_likelihoods(cache, answer) for cache in caches]

    def _kept(self, ratio: float) -> int:
        least = self._engine.scorer.min_kept_tokens
        length = len(self._token_ids)
        return min(length, max(least, math.floor((1 - ratio) * length)))

    def _evicted(self, kept: list[int], room: int) -> list[KVCache]:
        """Return a cache for each number of tokens; its batch are the arms."""
        length = len(self._token_ids)
        scorers = [[make(self._token_ids, tokens) for make in self._arms] for tokens in kept]
        caches = [KVCache(self._engine.target.model.config, 0, NEVER.check) for _ in kept]
        for index, layer in enumerate(self._prefilled.cache.layers):
            keys, values = layer.keys[0, :, :length], layer.values[0, :, :length]
            scores: dict[tuple[int, Scorer], torch.Tensor] = {}
            for tokens, arms, cache in zip(kept, scorers, caches, strict=True):
                shape = (len(arms), len(keys), tokens + room)
                new_keys = keys.new_empty(*shape, keys.shape[2])
                new_values = values.new_empty(*shape, values.shape[2])
                for arm, scorer in enumerate(arms):
                    if (arm, scorer) not in scores:
                        observed = self._prefilled.observed[index]
                        scores[arm, scorer] = scorer.score(index, keys, values, observed)
                    score = scores[arm, scorer]
                    chosen = kept_positions(score, tokens, scorer.window, scorer.sinks)
                    for head, positions in enumerate(chosen):
                        new_keys[arm, head, :tokens] = keys[head, positions]
                        new_values[arm, head, :tokens] = values[head, positions]
                cache.layers[index].take(new_keys, new_values, tokens)
        return caches

    def _log_likelihoods(self, cache: KVCache, answer: list[int]) -> list[float]:
        logits = self._prefilled.logits
        ids = torch.tensor(answer, device=logits.device)
        first = logits.log_softmax(-1)[ids[0]]
        positions = torch.arange(len(answer) - 1, device=ids.device) + len(self._token_ids)
        arms = len(self._arms)
        found = self._engine.target.model(
            input_ids=ids[None, :-1].expand(arms, -1),
            position_ids=positions[None].expand(arms, -1),
            past_key_values=cache,
            use_cache=True,
        ).logits
        rest = [of_arm.float().log_softmax(-1).gather(1, ids[1:, None]).sum() for of_arm in found]
        return [float((first + of_arm) / len(answer)) for of_arm in rest]
