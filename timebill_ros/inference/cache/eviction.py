"""Eviction: the prompt's part of the cache shrinks to the tokens that a scorer rates best."""

import torch

from timebill_ros.inference.cache.kv_cache import KVCache
from timebill_ros.inference.cache.observation_window import ObservationWindow
from timebill_ros.inference.cache.scorers.scorer import Scorer


def evict(
    cache: KVCache,
    observed: ObservationWindow,
    prompt_tokens: int,
    kept_tokens: int,
    scorer: Scorer,
) -> dict[int, torch.Tensor]:
    """Shrink a prompt's part of a cache, in place, to the tokens that matter.

    The tokens of the answer, behind the prompt, all stay.

    Arguments:
        observed: the attention queries of the prompt's last tokens.
        prompt_tokens: the length of the prompt, of which nothing has been evicted yet.
        kept_tokens: the number of prompt tokens that stay in each full-attention layer.
        scorer: chooses them.

    Returns:
        The prompt tokens that stay in each of these layers, by its index: sorted positions,
        (kv_heads, kept_tokens).
    """
    stays: dict[int, torch.Tensor] = {}

    def choose(layer: int, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        score = scorer.score(
            layer, keys[:, :prompt_tokens], values[:, :prompt_tokens], observed[layer]
        )
        kept = kept_positions(score, kept_tokens, scorer.window, scorer.sinks)
        stays[layer] = kept
        answer = torch.arange(prompt_tokens, keys.shape[1], device=keys.device)
        return torch.cat([kept, answer.expand(len(kept), -1)], dim=1)

    cache.evict(choose)
    return stays


def kept_positions(score: torch.Tensor, kept: int, window: int, sinks: int) -> torch.Tensor:
    """Return the sorted positions that stay, (kv_heads, kept).

    The last `window` and the first `sinks` tokens always stay. Of the others, those with the
    highest scores stay.

    Arguments:
        score: (kv_heads, length), higher is better.
        kept: how many stay.
    """
    length = score.shape[1]
    assert window + sinks <= kept <= length, f'cannot keep {kept} of {length} tokens'
    score = score.clone()
    score[:, length - window :] = float('inf')
    score[:, :sinks] = float('inf')
    best = score.topk(kept, dim=1, sorted=False).indices
    # nonzero() reads a mask in order, several times faster than to sort.
    stays = torch.zeros_like(score, dtype=torch.bool).scatter_(1, best, True)
    return stays.nonzero()[:, 1].view(-1, kept)
