"""Which prompt tokens stay in the KV cache: SnapKV, and two baselines at the same size.

SnapKV: Li et al., arXiv 2404.14469. StreamingLLM: Xiao et al., arXiv 2309.17453.
"""

from typing import Protocol

import torch
from torch.nn.functional import avg_pool1d, max_pool1d

from timebill_ros.core.eviction_settings import EvictionSettings
from timebill_ros.inference.cache.kv_cache import KVCache
from timebill_ros.inference.cache.observation_window import ObservationWindow, ObservedQueries


class Scorer(Protocol):
    """Rates the prompt tokens of one layer."""

    def __init__(self, settings: EvictionSettings) -> None: ...

    def score(self, layer: int, keys: torch.Tensor, observed: ObservedQueries) -> torch.Tensor:
        """Return (kv_heads, length) for keys of (kv_heads, length, head_dim): higher stays."""
        ...


class SnapKV:
    """The window's attention to what is before it, pooled along the sequence."""

    def __init__(self, settings: EvictionSettings) -> None:
        self._settings = settings

    def score(self, layer: int, keys: torch.Tensor, observed: ObservedQueries) -> torch.Tensor:
        """Return the votes; the window's own columns are 0."""
        weights = attention_weights(keys, observed)
        window = weights.shape[2]
        votes = _aggregate(weights[..., :-window], 2, self._settings.window_aggregation)
        pool = avg_pool1d if self._settings.pooling == 'avg' else max_pool1d
        kernel = self._settings.kernel
        votes = pool(votes, kernel, stride=1, padding=kernel // 2)
        votes = _aggregate(votes, 1, self._settings.group_aggregation)
        return torch.nn.functional.pad(votes, (0, window))


class StreamingLLM:
    """The most recent tokens; the sinks are the settings'."""

    def __init__(self, settings: EvictionSettings) -> None: ...

    def score(self, layer: int, keys: torch.Tensor, observed: ObservedQueries) -> torch.Tensor:
        """Return the positions."""
        positions = torch.arange(keys.shape[1], device=keys.device, dtype=torch.float32)
        return positions.expand(keys.shape[0], -1)


class Random:
    """Any tokens, by the settings' seed: what a score must beat."""

    def __init__(self, settings: EvictionSettings) -> None:
        self._generator = torch.Generator().manual_seed(settings.seed)

    def score(self, layer: int, keys: torch.Tensor, observed: ObservedQueries) -> torch.Tensor:
        """Return uniform noise."""
        return torch.rand(keys.shape[:2], generator=self._generator).to(keys.device)


_SCORERS: dict[str, type[Scorer]] = {
    'snapkv': SnapKV,
    'streaming_llm': StreamingLLM,
    'random': Random,
}


def attention_weights(keys: torch.Tensor, observed: ObservedQueries) -> torch.Tensor:
    """Return the window's attention to all tokens, (kv_heads, group, window, length), in fp32.

    Arguments:
        keys: (kv_heads, length, head_dim), the window's own last.
    """
    kv_heads, length, head_dim = keys.shape
    heads, window, _ = observed.queries.shape
    scaling = head_dim**-0.5 if observed.scaling is None else observed.scaling
    # Query head h reads KV head h // group.
    grouped = observed.queries.reshape(kv_heads, -1, head_dim).float() * scaling
    # To fp32 before the product: on a CPU that is also faster than to convert the larger result.
    logits = grouped @ keys.float().transpose(1, 2)
    if observed.softcap is not None:
        logits = torch.tanh(logits / observed.softcap) * observed.softcap
    logits = logits.view(kv_heads, heads // kv_heads, window, length)
    future = torch.ones(window, window, dtype=torch.bool, device=keys.device).triu(1)
    logits[..., -window:].masked_fill_(future, float('-inf'))
    return logits.softmax(dim=-1)


def _aggregate(votes: torch.Tensor, dim: int, how: str) -> torch.Tensor:
    return votes.mean(dim) if how == 'mean' else votes.amax(dim)


def kept_positions(score: torch.Tensor, kept: int, window: int, sinks: int) -> torch.Tensor:
    """Return the sorted positions that stay, (kv_heads, kept).

    The last `window` and the first `sinks` tokens always stay, and of the rest the best.

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


def evict(
    cache: KVCache, observed: ObservationWindow, kept_tokens: int, settings: EvictionSettings
) -> None:
    """Shrink a prompt's cache, in place, to the tokens that matter.

    Arguments:
        kept_tokens: how many stay in every full-attention layer.
        observed: what the prompt's last tokens asked for.
    """
    scorer = _SCORERS[settings.scorer](settings)

    def choose(layer: int, keys: torch.Tensor) -> torch.Tensor:
        score = scorer.score(layer, keys, observed[layer])
        return kept_positions(score, kept_tokens, settings.window, settings.sinks)

    cache.evict(choose)
