"""How records are split, and states kept beside them."""

from pathlib import Path

import numpy as np
import pytest

from support.planted_lengths import planted
from timebill_ros.training.length_data import Split
from timebill_ros.training.state_file import StateFile, read_states, state_layers

SHAPE = (2, 2, 3)


def parts(split: Split) -> list[set[int]]:
    return [set(map(int, rows)) for rows in (split.train, split.validation, split.test)]


def test_each_record_is_in_one_part_of_about_its_share() -> None:
    data = planted(2000)
    train, validation, test = parts(data.random_split())
    assert not (train & validation or train & test or validation & test)
    assert len(train | validation | test) == 2000
    assert [len(part) / 2000 for part in (train, validation, test)] == pytest.approx(
        [0.7, 0.15, 0.15], abs=0.03
    )


def test_a_record_stays_in_its_part_when_more_are_collected() -> None:
    few, many = parts(planted(300).random_split()), parts(planted(600).random_split())
    for before, after in zip(few, many, strict=True):
        assert before <= after


def test_states_come_back_and_a_row_without_its_record_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / 'states'
    rows = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype(np.float16)
    with StateFile(path, SHAPE, 0) as states:
        for row in rows[:2]:
            states.add(row)
    with StateFile(path, SHAPE, 1) as states:
        states.add(rows[2])
    np.testing.assert_array_equal(read_states(path, SHAPE, 2), rows[[0, 2]])


def test_lengths_without_their_states_are_refused(tmp_path: Path) -> None:
    path = tmp_path / 'states'
    with pytest.raises(ValueError, match='has 0 rows for 1 lengths'):
        StateFile(path, SHAPE, 1)
    with pytest.raises(ValueError, match='no states for 5 lengths'):
        read_states(path, SHAPE, 5)


def test_layers_are_spread_over_the_depth() -> None:
    assert state_layers(30) == [4, 8, 11, 15, 19, 22, 26]
    assert state_layers(2) == [1, 2]
