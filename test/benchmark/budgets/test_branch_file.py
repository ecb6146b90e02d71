"""The answers of an interrupted run stay."""

from pathlib import Path

import numpy as np
import pytest

from benchmark.budgets.branch_file import Branches, BranchFile
from timebill_ros.core.length_distribution import LengthDistribution

KEY = {'model': 'm', 'dtype': 'bfloat16'}
LENGTH = LengthDistribution(np.array([0.25, 0.75, 0.0, 0.0]))


def test_what_was_saved_is_there_and_more_answers_are_added(tmp_path: Path) -> None:
    path = tmp_path / 'answers.jsonl'
    known = Branches(1000, 160, LENGTH, {(0, 0.0): ['a', 'b']})
    with BranchFile(path, KEY) as file:
        file.save('one', known)
        file.save('two', Branches(600, 128, None, {(0, 0.0): ['c']}, {(0, 0.0): [2.0]}))
    path.write_bytes(path.read_bytes() + b'{"item": "thr')
    with BranchFile(path, KEY) as file:
        found = file.found['one']
        assert set(file.found) == {'one', 'two'}
        assert file.found['two'].length is None
        assert (file.found['two'].steps, found.steps) == ({(0, 0.0): [2.0]}, {})
        assert found.length is not None
        assert found.length.quantile(0.2) == LENGTH.quantile(0.2)
        found.pieces[8, 0.5] = ['a', 'x']
        file.save('one', found)
        size = path.stat().st_size
        file.save('one', found)
        assert path.stat().st_size == size
    with BranchFile(path, KEY) as file:
        assert file.found['one'].pieces == {(0, 0.0): ['a', 'b'], (8, 0.5): ['a', 'x']}
        assert (file.found['one'].prompt_tokens, file.found['one'].longest) == (1000, 160)


def test_answers_of_another_model_are_not_mixed_in(tmp_path: Path) -> None:
    path = tmp_path / 'answers.jsonl'
    BranchFile(path, KEY).__exit__(None, None, None)
    with pytest.raises(ValueError, match='was recorded with another model: remove it'):
        BranchFile(path, {**KEY, 'model': 'n'})
