"""Records whose lengths are planted in their states, to be found by training."""

import hashlib

import numpy as np

from timebill_ros.training.length_data import LengthData
from timebill_ros.training.length_file import LengthKey, LengthRecord
from timebill_ros.training.prompt import Kind

DEPTH = 8
SOURCES = ('evals', 'libero', 'topics')


def planted(records: int = 600, hidden: int = 8, weights_hash: str = 'w') -> LengthData:
    """Return data in which the first element of the last token's state tells the length."""
    chance = np.random.default_rng(0)
    states = chance.normal(size=(records, 7, 2, hidden)).astype(np.float32)
    lengths = np.exp(5.3 + 1.2 * states[:, 4, 0, 0]).clip(1, 1000).astype(int)
    key = LengthKey(
        target='tiny',
        weights_hash=weights_hash,
        device='cpu',
        dtype='float32',
        quantization='none',
        step='transformers',
        repetition_penalty=1.0,
        max_new_tokens=1024,
        versions='',
    )
    rows = [
        LengthRecord(
            sha256=hashlib.sha256(str(number).encode()).hexdigest(),
            source=SOURCES[number % len(SOURCES)],
            kind=Kind.OPEN_ENDED,
            prompt_tokens=int(chance.integers(10, 100)),
            response_tokens=int(length),
            finish_reason='EOS',
            prefill_s=0.1,
            decode_s=0.1,
        )
        for number, length in enumerate(lengths)
    ]
    return LengthData(key, rows, states)
