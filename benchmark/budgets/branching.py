"""Many evicted answers of one reading: each branches off from the unevicted answer.

Greedy answers agree up to the eviction. So the unevicted answer is written once, its cache stays,
and an evicted answer costs only what comes behind its eviction.
"""

import torch
from tokenizers import Tokenizer

from benchmark.budgets.alpha_grid import kept_tokens
from benchmark.budgets.way import Way
from benchmark.eviction.evicted_answers import NEVER
from timebill_ros.inference.cache.kv_cache import KVCache
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.prefilled import Prefilled
from timebill_ros.inference.repetition import RepetitionPenalty, RepetitionStop
from timebill_ros.inference.text_stream import TextStream


class Branching:
    """Writes the answers to one prompt.

    Arguments:
        engine: used by no one else meanwhile; its model has no sliding layers.
        prefilled: what the answers are written from.
        longest: bound of the answers [tokens].
    """

    def __init__(
        self, engine: Engine, detokenizer: Tokenizer, prefilled: Prefilled, longest: int
    ) -> None:
        self._engine = engine
        self._detokenizer = detokenizer
        self._prefilled = prefilled
        self._longest = longest
        self._prompt_tokens = len(prefilled.prompt_ids)
        self._logits = prefilled.logits.clone()  # decoding writes to them
        self._whole: list[int] = []
        self._whole = self._written(prefilled.cache, 0)

    def pieces(self, way: Way) -> list[str]:
        """Return an answer's text, token by token.

        Arguments:
            way: evicted before the unevicted answer ends.
        """
        stream = TextStream(self._detokenizer)
        pieces = [stream.add(token_id) for token_id in self.token_ids(way)]
        pieces[-1] += stream.end()
        return pieces

    def token_ids(self, way: Way) -> list[int]:
        """Return an answer's tokens; see pieces()."""
        evict_at, alpha = way
        engine, source = self._engine, self._prefilled
        kept = kept_tokens(self._prompt_tokens, alpha, engine.scorer.min_kept_tokens)
        if kept == self._prompt_tokens:
            return self._whole
        assert evict_at < len(self._whole), f'cannot evict behind {evict_at} tokens'
        memory = source.cache.memory
        assert memory is not None, 'the prompt was read'
        # The newest token is not in the cache: its step comes behind the eviction. An eviction
        # moves what stays to new memory, so nothing is written to the common one.
        cache = KVCache(engine.target.model.config, 0, NEVER.check)
        assert not any(layer.is_sliding for layer in cache.layers), 'sliding layers are not moved'
        cache.take(memory, self._prompt_tokens + max(evict_at - 1, 0))
        copy = Prefilled(cache, self._logits, source.prompt_ids, source.observed, NEVER)
        engine.evict(copy, kept)
        return self._written(cache, evict_at)

    def _written(self, cache: KVCache, begun: int) -> list[int]:
        """Return the answer that begins as the unevicted one; as Engine.decode() writes it."""
        engine, token_ids = self._engine, self._whole[:begun]
        penalty = RepetitionPenalty(engine.settings.repetition_penalty, self._prefilled.prompt_ids)
        repetition = RepetitionStop()
        for token_id in token_ids:
            penalty.see(token_id, torch.tensor(token_id))
            repetition.add(token_id)
        cached = max(begun - 1, 0)
        with engine.step.answering(
            cache, self._prompt_tokens + cached, self._longest - cached
        ) as step:
            logits = step.logits(torch.tensor(token_ids[-1])) if begun else self._logits.clone()
            while True:
                token = penalty.apply(logits).argmax()
                token_id = int(token)
                token_ids.append(token_id)
                is_loop = repetition.add(token_id) and engine.settings.stop_at_repetition
                is_end = is_loop or token_id in engine.target.stop_token_ids
                if is_end or len(token_ids) == self._longest:
                    return token_ids
                penalty.see(token_id, token)
                logits = step.logits(token)
