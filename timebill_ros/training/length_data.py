"""Collected lengths with the target's states, and how they are split."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from timebill_ros.inference.loading.cache_folder import cache_folder
from timebill_ros.training.length_file import LengthKey, LengthRecord, read_lengths
from timebill_ros.training.state_file import read_states

FILE, STATES_FILE = 'lengths.jsonl', 'states.f16'
AGAIN_FILE, NEWLINE_FILE = 'lengths-again.jsonl', 'lengths-newline.jsonl'
"""Of the same prompts with other rounding, and with a line break behind them."""

_TRAIN, _NOT_TEST = 0.7, 0.85

Index = NDArray[np.intp]


@dataclass(frozen=True)
class Split:
    """The records for training, validation and test.

    Arguments:
        train, validation, test: positions of the records.
    """

    train: Index
    validation: Index
    test: Index


@dataclass(frozen=True)
class LengthData:
    """The data of a predictor's training and test.

    Arguments:
        key: the target's.
        records: one for each prompt.
        states: (records, layers, 2, hidden), fp32: see PrefillStates.
    """

    key: LengthKey
    records: Sequence[LengthRecord]
    states: NDArray[np.float32]

    @property
    def response_tokens(self) -> NDArray[np.int64]:
        """Lengths of the answers, (records,) [tokens]."""
        return np.array([record.response_tokens for record in self.records])

    @property
    def prompt_tokens(self) -> NDArray[np.int64]:
        """Lengths of the prompts, (records,) [tokens]."""
        return np.array([record.prompt_tokens for record in self.records])

    def random_split(self) -> Split:
        """Return 70, 15 and 15 % of the records.

        By each prompt's hash: it stays in its part when more are collected.
        """
        share = np.array([_share(record.sha256) for record in self.records])
        return Split(
            np.flatnonzero(share < _TRAIN),
            np.flatnonzero((share >= _TRAIN) & (share < _NOT_TEST)),
            np.flatnonzero(share >= _NOT_TEST),
        )


def read_data(folder: Path, state_shape: tuple[int, int, int]) -> LengthData:
    """Read the collected lengths and states.

    Arguments:
        state_shape: (layers, 2, hidden), of a prompt's states.

    Raises:
        ValueError: nothing was collected, or the files do not match; one sentence.
    """
    key, records = read_lengths(folder / FILE)
    return LengthData(key, records, read_states(folder / STATES_FILE, state_shape, len(records)))


def only_folder() -> Path:
    """Return the folder in the cache where lengths have been collected.

    Raises:
        ValueError: there is none, or more than one; one sentence.
    """
    folders = sorted(path.parent for path in (cache_folder() / 'lengths').glob(f'*/{FILE}'))
    if len(folders) != 1:
        names = ', '.join(str(folder) for folder in folders) or 'none'
        raise ValueError(f'name the folder of the lengths by --folder; there are: {names}')
    return folders[0]


def is_for_test(sha256: str) -> bool:
    """Return whether random_split() has a prompt in its test part."""
    return _share(sha256) >= _NOT_TEST


def _share(sha256: str) -> float:
    """Return the position of a prompt in [0, 1), from its hash."""
    return int(hashlib.sha256(sha256.encode()).hexdigest()[:8], 16) / 2**32
