"""SnapKV that keeps whole lines. After ChunkKV, Liu et al., arXiv 2502.00299."""

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import torch
from torch.nn.functional import pad

from timebill_ros.inference.cache.observation_window import ObservedQueries
from timebill_ros.inference.cache.scorers.snapkv import SnapKV

_LINE_END = re.compile(r'(?:[\n.!?;Ċ]|<0x0A>)[\sĠ▁ĉč]*$')
"""In a tokenizer's own spelling: Ċ, č, ĉ and Ġ are breaks, a tab and a space in those of bytes."""


@dataclass(frozen=True)
class SnapKVLines(SnapKV):
    """SnapKV's votes, where all tokens of a line or sentence get the mean of theirs.

    All heads of a layer keep the same lines, as in ChunkKV, whose chunks have a fixed size. The
    last line may be kept in part. SnapKV's kernel and pooling are not used.

    Arguments:
        line: number of each prompt token's line, (length,), from 0; None: for_prompt() knows it.
    """

    line: torch.Tensor | None = field(default=None, compare=False, repr=False)

    def for_prompt(self, prompt_ids: torch.Tensor, tokenizer: Any) -> 'SnapKVLines':
        """Return this scorer with the lines of a prompt."""
        ends = _line_ends(tokenizer).to(prompt_ids.device)[prompt_ids].long()
        return replace(self, line=ends.cumsum(0) - ends)  # a line's last token is part of it

    def score(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor, observed: ObservedQueries
    ) -> torch.Tensor:
        """Return the votes of the lines; the window's own columns are 0."""
        assert self.line is not None, 'a prompt has lines'
        votes = self.of_heads(self.votes(keys, observed)).sum(0)
        kv_heads, length, _ = keys.shape
        line = self.line[: len(votes)]
        sums = torch.zeros_like(votes).scatter_add_(0, line, votes)
        tokens = torch.zeros_like(votes).scatter_add_(0, line, torch.ones_like(votes))
        mean = sums[line] / tokens[line]
        return pad(mean, (0, length - len(votes))).expand(kv_heads, -1)


@lru_cache(maxsize=4)
def _line_ends(tokenizer: Any) -> torch.Tensor:
    """Return for each token whether a line or a sentence ends with it, (vocabulary,)."""
    numbers = tokenizer.get_vocab()
    ends = torch.zeros(1 + max(numbers.values()), dtype=torch.bool)  # there may be holes
    for token, number in numbers.items():
        ends[number] = _LINE_END.search(token) is not None
    return ends
