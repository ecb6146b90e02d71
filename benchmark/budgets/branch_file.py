"""The answers of `make bench-closed_loop` on disk: an interrupted run keeps its items."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.budgets.keyed_lines import KeyedLines
from benchmark.budgets.way import Way
from timebill_ros.core.length_distribution import LengthDistribution


@dataclass
class Branches:
    """What is known of one item.

    Arguments:
        longest: bound of the answers [tokens].
        length: predicted.
        pieces: of each answer, the text that each token completes.
        steps: of a constrained answer, the passes through the model that each token takes, forced
            ones none; see AnswerSteps.
    """

    prompt_tokens: int
    longest: int
    length: LengthDistribution | None
    pieces: dict[Way, list[str]] = field(default_factory=dict)
    steps: dict[Way, list[float]] = field(default_factory=dict)


class BranchFile:
    """Answers by item. A context manager.

    Arguments:
        path: made if absent. A last line that was cut off is dropped.
        key: everything that the answers depend on besides the items.

    Raises:
        ValueError: the file is another key's, or being added to; one sentence.
    """

    def __init__(self, path: Path, key: Mapping[str, str]) -> None:
        self.found: dict[str, Branches] = {}
        self._saved: dict[str, set[Way]] = {}
        self._lines = KeyedLines(path, key)
        for row in self._lines.rows:
            self._remember(row)

    def __enter__(self) -> 'BranchFile':
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()

    def save(self, item: str, branches: Branches) -> None:
        """Append what is not there yet; it is on the disk when this returns."""
        saved = self._saved.setdefault(item, set())
        new = {way: pieces for way, pieces in branches.pieces.items() if way not in saved}
        if new:
            row = _row(item, branches, new)
            self._lines.add(row)
            self._remember(row)

    def _remember(self, row: Mapping[str, Any]) -> None:
        length = row['length'] and LengthDistribution(
            np.array(row['length']['probabilities']), row['length']['bucket_tokens']
        )
        branches = self.found.setdefault(
            row['item'], Branches(row['prompt_tokens'], row['longest'], length)
        )
        for evict_at, alpha, pieces, *steps in row['ways']:
            branches.pieces[evict_at, alpha] = pieces
            if steps:
                branches.steps[evict_at, alpha] = steps[0]
            self._saved.setdefault(row['item'], set()).add((evict_at, alpha))


def _row(item: str, branches: Branches, new: Mapping[Way, list[str]]) -> dict[str, Any]:
    length = branches.length
    # Behind the last bucket that is possible, all are 0.
    probabilities = [] if length is None else np.trim_zeros(length.probabilities, 'b').tolist()
    return {
        'item': item,
        'prompt_tokens': branches.prompt_tokens,
        'longest': branches.longest,
        'length': length
        and {'probabilities': probabilities, 'bucket_tokens': length.bucket_tokens},
        'ways': [
            [*way, pieces, *([branches.steps[way]] if way in branches.steps else [])]
            for way, pieces in new.items()
        ],
    }
