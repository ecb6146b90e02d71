"""Tensors in any format of GGUF, of random codes and scales: gguf cannot quantize to all."""

import numpy as np
from gguf import GGML_QUANT_SIZES
from gguf import GGMLQuantizationType as Kind

_HALVES = {
    Kind.Q4_0: (0,),
    Kind.Q4_1: (0, 2),
    Kind.Q5_0: (0,),
    Kind.Q5_1: (0, 2),
    Kind.Q8_0: (0,),
    Kind.IQ4_NL: (0,),
    Kind.Q4_K: (0, 2),
    Kind.Q5_K: (0, 2),
    Kind.Q6_K: (208,),
}
"""Where a block has numbers in float16; all other bytes may be any."""
FORMATS = tuple(_HALVES)


def random_blocks(rows: int, columns: int, kind: Kind, seed: int = 0) -> np.ndarray:
    """Return (rows, bytes of a row); the values are about as large as a model's."""
    chance = np.random.default_rng(seed)
    in_block, nbytes = GGML_QUANT_SIZES[kind]
    blocks = chance.integers(0, 256, (rows * columns // in_block, nbytes), dtype=np.uint8)
    largest = {Kind.Q8_0: 1e-3, Kind.IQ4_NL: 1e-3, Kind.Q6_K: 2e-5}.get(
        kind, 2e-4 if in_block == 256 else 1e-2
    )
    for place in _HALVES[kind]:
        halves = chance.uniform(-largest, largest, len(blocks)).astype(np.float16)
        blocks[:, place : place + 2] = halves[:, None].view(np.uint8)
    return blocks.reshape(rows, -1)
