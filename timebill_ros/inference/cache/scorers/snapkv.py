"""SnapKV: the end of the prompt chooses what stays. Li et al., arXiv 2404.14469."""

from dataclasses import dataclass

import torch
from torch.nn.functional import max_pool1d, pad

from timebill_ros.inference.cache.observation_window import ObservedQueries
from timebill_ros.inference.cache.scorers.scorer import Scorer

_CHOICES = {
    'pooling': ('avg', 'max'),
    'window_aggregation': ('mean', 'max'),
    'group_aggregation': ('mean', 'max'),
}


@dataclass(frozen=True)
class SnapKV(Scorer):
    """The window's attention to the tokens before it, pooled along the sequence.

    The defaults are the best of a grid of 36 on a development split of 24 needle prompts, seed 100
    (`make bench-eviction_defaults`): the hidden values' log-likelihood a token was -1.03. With the
    paper's kind of settings (window 32, kernel 7, averages) it was -2.08.

    Arguments:
        kernel: width of the pooling along the sequence, odd; 1 is none [tokens].
        pooling: 'avg' or 'max' of the attention within the kernel.
        window_aggregation: 'mean' or 'max' over the tokens of the window.
        group_aggregation: 'mean' or 'max' over the query heads that share a KV head.

    Raises:
        ValueError: names the setting, its value and its bound.
    """

    kernel: int = 21
    pooling: str = 'avg'
    window_aggregation: str = 'max'
    group_aggregation: str = 'max'

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f'{name} must be one of {allowed}, got {getattr(self, name)!r}')
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f'kernel must be odd and at least 1 token, got {self.kernel}')

    def score(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor, observed: ObservedQueries
    ) -> torch.Tensor:
        """Return the votes; the window's own columns are 0."""
        votes = self.votes(keys, observed)
        return pad(self.pooled(votes), (0, keys.shape[1] - votes.shape[2]))

    def votes(self, keys: torch.Tensor, observed: ObservedQueries) -> torch.Tensor:
        """Return the window's attention to the tokens before it, (kv_heads, group, length)."""
        logarithms = log_attention(keys, observed)
        if self.window_aggregation == 'max':  # of the logarithms: there are fewer exponentials
            return logarithms.amax(2).float().exp_()
        return logarithms.float().exp_().mean(2)

    def pooled(self, votes: torch.Tensor) -> torch.Tensor:
        """Pool votes() along the sequence; return those of each KV head, (kv_heads, length)."""
        if self.pooling == 'avg':
            votes = _averages(votes, self.kernel)
        else:
            votes = max_pool1d(votes, self.kernel, stride=1, padding=self.kernel // 2)
        return self.of_heads(votes)

    def of_heads(self, votes: torch.Tensor) -> torch.Tensor:
        """Return the votes of each KV head from those of the query heads that share it."""
        return _aggregate(votes, 1, self.group_aggregation)


def log_attention(keys: torch.Tensor, observed: ObservedQueries) -> torch.Tensor:
    """Return the logarithm of the window's attention to the tokens before it.

    Arguments:
        keys: (kv_heads, length, head_dim), the window's own last.

    Returns:
        (kv_heads, group, window, length - window), in fp32, or in bf16 where the keys are and the
        processor multiplies it.
    """
    kv_heads, length, head_dim = keys.shape
    heads, window, _ = observed.queries.shape
    scaling = head_dim**-0.5 if observed.scaling is None else observed.scaling
    # Query head h reads KV head h // group.
    grouped = observed.queries.reshape(kv_heads, -1, head_dim).float() * scaling
    if observed.log_sums is not None:
        assert observed.softcap is None, 'who knows the sums has no softcap'
        dtype = keys.dtype if _multiplies(keys) else torch.float32
        sums = observed.log_sums.reshape(kv_heads, -1, 1).to(dtype)
        grouped, keys = grouped.to(dtype), keys[:, : length - window].to(dtype)
        logarithms = grouped.new_empty(kv_heads, grouped.shape[1], length - window)
        for head in range(kv_heads):  # a batch would take twice as long: oneDNN copies its keys
            torch.addmm(-sums[head], grouped[head], keys[head].T, out=logarithms[head])
        return logarithms.view(kv_heads, heads // kv_heads, window, -1)
    # To fp32 before the product: on a CPU that is also faster than to convert the larger result.
    logits = grouped @ keys.float().transpose(1, 2)
    if observed.softcap is not None:
        logits = torch.tanh(logits / observed.softcap) * observed.softcap
    logits = logits.view(kv_heads, heads // kv_heads, window, length)
    future = torch.ones(window, window, dtype=torch.bool, device=keys.device).triu(1)
    logits[..., -window:].masked_fill_(future, float('-inf'))
    return logits[..., :-window] - logits.logsumexp(dim=-1, keepdim=True)


def _multiplies(keys: torch.Tensor) -> bool:
    """Return whether the processor has products of the keys' type."""
    return bool(
        keys.dtype == torch.bfloat16
        and torch.backends.mkldnn.is_available()
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def _averages(votes: torch.Tensor, kernel: int) -> torch.Tensor:
    """Return what avg_pool1d() does with zeros around, in half of its time."""
    half = kernel // 2
    sums = pad(votes, (half + 1, half)).cumsum(-1, dtype=torch.float64)
    return ((sums[..., kernel:] - sums[..., :-kernel]) / kernel).to(votes.dtype)


def _aggregate(votes: torch.Tensor, dim: int, how: str) -> torch.Tensor:
    return votes.mean(dim) if how == 'mean' else votes.amax(dim)
