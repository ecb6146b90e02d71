"""One prefill, many evictions: compares each evicted answer with the unevicted one."""

import math
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer

from timebill_ros.core.deadline import Deadline
from timebill_ros.inference.cache.kv_cache import KVCache
from timebill_ros.inference.cache.observation_window import ObservationWindow
from timebill_ros.inference.cache.scorers.scorer import Scorer
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.prefilled import Prefilled
from timebill_ros.inference.text_stream import TextStream

NEVER = Interrupt(Deadline(math.inf))


@dataclass(frozen=True)
class Decoded:
    """An answer: its tokens and its text."""

    token_ids: list[int]
    text: str


class EvictedAnswers:
    """Answers one prompt from differently evicted copies of its cache.

    Arguments:
        engine: its eviction window is at least as long as any that is tried.
        token_ids: the prompt.
        longest: bound of the answers [tokens].
    """

    def __init__(self, engine: Engine, token_ids: list[int], longest: int) -> None:
        self._engine = engine
        self._longest = longest
        self._prefilled = engine.prefill(token_ids, longest, NEVER)
        tokenizer = engine.target.tokenizer.backend_tokenizer
        self._detokenizer = Tokenizer.from_str(tokenizer.to_str())
        self.prompt_tokens = len(token_ids)

    def evicted(self, scorer: Scorer, ratio: float) -> Prefilled:
        """Return a copy of the prefilled state, evicted; ratio 0 is a plain copy."""
        copy = copied(self._engine, self._prefilled, self._longest, scorer.window)
        kept = max(scorer.min_kept_tokens, math.floor((1 - ratio) * self.prompt_tokens))
        engine = Engine(self._engine.target, self._engine.settings, scorer, self._engine.step)
        engine.evict(copy, min(kept, self.prompt_tokens))
        return copy

    def decode(self, prefilled: Prefilled) -> Decoded:
        """Return the greedy answer; the state is used up."""
        stream = TextStream(self._detokenizer)
        token_ids, text = [], ''
        for token_id, _ in self._engine.decode(prefilled, self._longest, NEVER):
            token_ids.append(token_id)
            text += stream.add(token_id)
        return Decoded(token_ids, text + stream.end())

    def log_likelihood(self, prefilled: Prefilled, answer: list[int]) -> float:
        """Return the mean log-likelihood of an answer's tokens [nats]; the state is used up."""
        ids = torch.tensor(answer, device=prefilled.logits.device)
        first = prefilled.logits.log_softmax(-1)[ids[0]]
        if len(answer) == 1:
            return float(first)
        positions = torch.arange(len(answer) - 1, device=ids.device) + self.prompt_tokens
        with torch.inference_mode():
            logits = self._engine.target.model(
                input_ids=ids[None, :-1],
                position_ids=positions[None],
                past_key_values=prefilled.cache,
                use_cache=True,
            ).logits[0]
        rest = logits.float().log_softmax(-1).gather(1, ids[1:, None])
        return float((first + rest.sum()) / len(answer))


def copied(engine: Engine, source: Prefilled, longest: int, window: int) -> Prefilled:
    """Return a copy of a prefilled state, to be evicted and decoded.

    Arguments:
        longest: the copy gets room for so many new tokens.
        window: how many of the prompt's last tokens are to vote, at most as many as recorded.
    """
    prompt_tokens = len(source.prompt_ids)
    cache = KVCache(engine.target.model.config, prompt_tokens + longest, NEVER.check)
    for old, new in zip(source.cache.layers, cache.layers, strict=True):
        new.update(old.keys[:, :, : old.length], old.values[:, :, : old.length])
    observed = ObservationWindow(window)
    for layer in range(len(cache.layers)):
        seen = source.observed[layer]
        observed.see(layer, seen.queries[None], seen.scaling, seen.softcap, seen.log_sums)
    return Prefilled(cache, source.logits.clone(), source.prompt_ids, observed, NEVER)
