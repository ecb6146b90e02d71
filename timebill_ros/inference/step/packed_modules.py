"""Modules whose weights stay packed: the codes are all that is in memory."""

import torch

from timebill_ros.inference.step.packed_weight import BLOCK, PackedWeight

_ROWS = 64 * BLOCK
"""Rows that are dequantized together."""


class PackedLinear(torch.nn.Module):
    """Computes what a linear layer does, dequantizing some rows at a time.

    This is slow, and for those who compare or inspect: the compiled library reads the codes.

    Arguments:
        packed: the weight.
        bias: (rows,).
    """

    def __init__(self, packed: PackedWeight, bias: torch.nn.Parameter | None) -> None:
        super().__init__()
        self.packed, self.bias = packed, bias
        self.in_features, self.out_features = packed.columns, packed.rows

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (..., out_features) for (..., in_features)."""
        parts = torch.arange(self.out_features).split(_ROWS)
        product = torch.cat([x @ self.packed.lookup(rows).to(x.dtype).T for rows in parts], dim=-1)
        return product if self.bias is None else product + self.bias


class PackedEmbedding(torch.nn.Module):
    """Looks tokens up in the codes.

    Arguments:
        packed: the weight.
        dtype: of what is returned.
    """

    def __init__(self, packed: PackedWeight, dtype: torch.dtype) -> None:
        super().__init__()
        self.packed, self._dtype = packed, dtype
        self.num_embeddings, self.embedding_dim = packed.rows, packed.columns

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return (..., embedding_dim) for (...)."""
        found = self.packed.lookup(ids.flatten().to(torch.int64))
        return found.view(*ids.shape, -1).to(self._dtype)
