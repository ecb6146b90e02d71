"""What was learned of lengths, across a restart."""

import json
from pathlib import Path
from typing import Any

import pytest

from timebill_ros.core import atomic_file
from timebill_ros.core.constraint import Constraint, ConstraintKind
from timebill_ros.dispatch import lengths_file
from timebill_ros.dispatch.answer_length import AnswerLength
from timebill_ros.dispatch.habit import Habit
from timebill_ros.dispatch.learned_lengths import LearnedLengths
from timebill_ros.dispatch.length_memory import HABITS, LengthMemory
from timebill_ros.dispatch.lengths_file import MOST_BYTES, load, save

PLAN = Constraint(ConstraintKind.JSON_SCHEMA, '{"type": "object"}')
HABIT, WITH_FORM, NEWCOMER = Habit('Rosie'), Habit('Rosie', PLAN), Habit('newcomer')
PREDICTED = tuple(1.0 / 33 for _ in range(33))


def learned(habits: int = 3) -> LearnedLengths:
    lengths = LearnedLengths()
    for number in range(habits):
        for habit in (Habit(f'asker {number}'), HABIT, WITH_FORM):
            lengths.observe(habit, AnswerLength(3 + 7 * number, number % 3 > 0), 1024, PREDICTED)
    return lengths


def test_what_was_saved_is_told_after_a_restart(tmp_path: Path) -> None:
    path, before, after = tmp_path / 'made' / 'lengths.json', learned(), LearnedLengths()
    save(path, before.copy())
    memory = load(path)
    assert memory is not None
    after.replace(memory)
    for habit in (HABIT, WITH_FORM, Habit('asker 1'), NEWCOMER, Habit('newcomer', PLAN)):
        old, new = before.of(habit), after.of(habit)
        assert old is not None
        assert new is not None
        assert new.probabilities == pytest.approx(old.probabilities, abs=1e-4)
        assert new.predictor_weight == pytest.approx(old.predictor_weight, abs=1e-4)
        assert new.correction == pytest.approx(old.correction, abs=1e-4)
    assert list(memory.of_habit) == list(before.copy().of_habit)  # the order of forgetting


def test_a_file_has_no_names_and_no_texts_and_is_small(tmp_path: Path) -> None:
    path = tmp_path / 'lengths.json'
    save(path, learned(3 * HABITS).copy())
    text = path.read_text()
    assert 'Rosie' not in text
    assert 'asker' not in text
    assert 'object' not in text
    assert len(text) < MOST_BYTES / 3
    assert load(path) is not None


def test_absent_and_of_another_format_is_none(tmp_path: Path) -> None:
    path = tmp_path / 'lengths.json'
    assert load(path) is None
    save(path, learned().copy())
    path.write_text(json.dumps({**json.loads(path.read_text()), 'format': 0}))
    assert load(path) is None


def content() -> dict[str, Any]:
    written = lengths_file._written
    memory = learned().copy()
    return {
        'format': lengths_file.FORMAT,
        'of_all': {kind.name: written(value) for kind, value in memory.of_all.items()},
        'corrections': {
            kind.name: lengths_file._written_counts(counts)
            for kind, counts in memory.corrections.items()
        },
        'of_habit': {key: written(value) for key, value in memory.of_habit.items()},
    }


def damaged() -> dict[str, bytes]:
    free: dict[str, Any] = content()['of_all']['NONE']
    key = next(iter(content()['of_habit']))
    kinds = {
        'a count is no number': {**free, 'ended': ['1', *free['ended'][1:]]},
        'a count is not finite': {**free, 'begun': [float('nan'), *free['begun'][1:]]},
        'a count that never fades': {**free, 'begun': [1e300, *free['begun'][1:]]},
        'a count of 400 digits': {**free, 'judged': 10**400},
        'a count is negative': {**free, 'ended': [-1.0, *free['ended'][1:]]},
        'a count is a truth': {**free, 'ended': [False, *free['ended'][1:]]},
        'too few cells': {**free, 'ended': free['ended'][1:]},
        'cells are missing': {'ended': free['ended']},
        'more ended than began': {**free, 'ended': [9e9, *free['ended'][1:]]},
        'a weight above one': {**free, 'predictor': free['judged'] + 1.0},
        'a weight is missing': {name: free[name] for name in ('ended', 'begun', 'judged')},
        'no object': [],
    }
    other: dict[str, Any] = content()['of_all']['JSON_SCHEMA']
    found = {
        name: {**content(), 'of_all': {'NONE': kind, 'JSON_SCHEMA': other}}
        for name, kind in kinds.items()
    }
    found['an unknown kind'] = {
        **content(),
        'of_all': {'POEM': free},
        'corrections': {'POEM': content()['corrections']['NONE']},
    }
    found['a correction is missing'] = {**content(), 'corrections': {}}
    found['a correction of other parts'] = {
        **content(),
        'corrections': {'NONE': other, 'JSON_SCHEMA': other},
    }
    found['a name'] = {**content(), 'of_habit': {'Rosie': free}}
    found['too many habits'] = {
        **content(),
        'of_habit': {f'{number:020x}': free for number in range(HABITS + 1)},
    }
    found['a list of habits'] = {**content(), 'of_habit': [key]}
    found['nothing learned'] = {'format': lengths_file.FORMAT}
    texts = {name: json.dumps(value).encode() for name, value in found.items()}
    whole = json.dumps(content()).encode()
    return texts | {
        'empty': b'',
        'no text': b'\xff\xfe\x00',
        'null': b'null',
        'too deep': b'[' * 100_000,
        'cut off': whole[:-20],
        'too long': whole + b' ' * MOST_BYTES,
    }


@pytest.mark.parametrize('name', list(damaged()))
def test_a_damaged_file_is_named_in_a_sentence_and_is_replaced(tmp_path: Path, name: str) -> None:
    path = tmp_path / 'lengths.json'
    path.write_bytes(damaged()[name])
    with pytest.raises(ValueError, match=r"^the learned lengths in '.*lengths\.json' cannot be"):
        load(path)
    save(path, LengthMemory())
    assert load(path) == LengthMemory()


def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'cannot be used: .*directory'):
        load(tmp_path)


def test_a_failed_save_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 'lengths.json'
    save(path, learned().copy())
    before = path.read_text()

    def full_disk(descriptor: int) -> None:
        raise OSError('no space left')

    monkeypatch.setattr(atomic_file.os, 'fsync', full_disk)
    with pytest.raises(OSError, match='no space left'):
        save(path, LengthMemory())
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]
