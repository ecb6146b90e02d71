"""Scorers that were tried to better SnapKV: by what the values add, and in whole lines."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch.nn.functional import pad

from timebill_ros.inference.cache.observation_window import ObservedQueries
from timebill_ros.inference.cache.scorers.scorer import Scorer
from timebill_ros.inference.cache.scorers.snapkv import SnapKV
from timebill_ros.inference.cache.scorers.snapkv_lines import SnapKVLines
from timebill_ros.inference.engine import Engine

_LINE_END = re.compile(r'[\n.!?;]\s*$')
_EPSILON = 1e-4
"""Added to votes before they are weighed, as CriticalKV does."""


@dataclass(frozen=True)
class ByValues(SnapKV):
    """SnapKV's votes times the norm of what a token's value adds.

    Arguments:
        projections: by layer, what turns values into vectors of the norm that they have behind the
            output projection, (kv_heads, head_dim, head_dim); empty: the value's own norm.
        weighs_first: the votes are weighed before they are pooled.
        first_stage: so many tokens of the highest votes stay whatever their values, as in
            CriticalKV (Feng et al., arXiv 2502.03805).
    """

    projections: tuple[torch.Tensor, ...] = field(default=(), compare=False)
    weighs_first: bool = False
    first_stage: int = 0

    def score(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor, observed: ObservedQueries
    ) -> torch.Tensor:
        """Return the weighed votes; the window's own columns are 0."""
        votes = self.votes(keys, observed)
        prefix = votes.shape[2]
        added = values[:, :prefix].float()
        if self.projections:
            added = added @ self.projections[layer]
        norms = added.norm(dim=-1)
        if self.weighs_first:
            return pad(self.pooled(votes * norms[:, None]), (0, keys.shape[1] - prefix))
        pooled = self.pooled(votes)
        score = (pooled + _EPSILON) * norms if self.first_stage else pooled * norms
        if self.first_stage:
            first = pooled.topk(min(self.first_stage, prefix), dim=1).indices
            score.scatter_(1, first, torch.finfo(score.dtype).max)
        return pad(score, (0, keys.shape[1] - prefix))


@dataclass(frozen=True)
class WholeLines(SnapKV):
    """SnapKV's votes, the same for all tokens of a line or sentence.

    This is ChunkKV (Liu et al., arXiv 2502.00299), with lines for chunks of a fixed size. Each
    head keeps lines of its own; SnapKVLines keeps the same ones in all.

    Arguments:
        lines: the number of each token's line, (length,).
        of_line: 'mean' or 'max' of the line's votes.
    """

    lines: torch.Tensor = field(default_factory=lambda: torch.zeros(0), compare=False)
    of_line: str = 'mean'

    def score(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor, observed: ObservedQueries
    ) -> torch.Tensor:
        """Return the votes of the lines; the window's own columns are 0."""
        votes = self.of_heads(self.votes(keys, observed))
        prefix = votes.shape[1]
        lines = self.lines[:prefix].to(votes.device).expand_as(votes)
        reduce = 'mean' if self.of_line == 'mean' else 'amax'
        of_line = votes.new_zeros(len(votes), int(self.lines.max()) + 1)
        of_line.scatter_reduce_(1, lines, votes, reduce, include_self=False)
        return pad(of_line.gather(1, lines), (0, keys.shape[1] - prefix))


Make = Callable[[list[int], int], Scorer]
"""From a prompt and the number of tokens that stay."""


def contenders(engine: Engine) -> dict[str, Make]:
    """Return the scorers by name, those of a family behind each other."""
    projections = _projections(engine.target.model)

    tokenizer = engine.target.tokenizer

    @cache
    def ends_line(token: int) -> bool:
        return bool(_LINE_END.search(tokenizer.decode([token])))

    def lines(token_ids: list[int]) -> torch.Tensor:
        ends = torch.tensor([ends_line(token) for token in token_ids])
        return ends.cumsum(0) - ends.long()  # a line's last token is part of it

    return {
        'snapkv': lambda _, __: SnapKV(),
        'values': lambda _, __: ByValues(),
        'values, then pooled': lambda _, __: ByValues(weighs_first=True),
        'projected values, then pooled': lambda _, __: ByValues(
            projections=projections, weighs_first=True
        ),
        'projected values, second half': lambda _, kept: ByValues(
            projections=projections, first_stage=kept // 2
        ),
        'lines by mean': lambda ids, _: WholeLines(lines=lines(ids)),
        'lines by max': lambda ids, _: WholeLines(lines=lines(ids), of_line='max'),
        'lines by mean, shared': lambda ids, _: SnapKVLines().for_prompt(
            torch.tensor(ids), tokenizer
        ),
    }


def _projections(model: Any) -> tuple[torch.Tensor, ...]:
    """Return for each layer what ByValues wants: a root of the mean of W_o^T W_o over a group."""
    config = model.config
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    found = []
    with torch.inference_mode():
        for layer in model.model.layers:
            output = layer.self_attn.o_proj
            identity = torch.eye(output.in_features, dtype=model.dtype, device=model.device)
            weight = output(identity).float()  # a prepacked weight cannot be read in another way
            if output.bias is not None:
                weight = weight - output.bias.float()
            by_head = weight.view(kv_heads, heads // kv_heads, -1, weight.shape[1])
            gram = (by_head @ by_head.mT).mean(1)
            powers, basis = torch.linalg.eigh(gram)
            found.append(basis * powers.clamp_min(0).sqrt()[:, None])
    return tuple(found)
