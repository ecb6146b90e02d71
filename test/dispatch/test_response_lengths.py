import random

import pytest

from timebill_ros.core.constraint import Constraint, ConstraintKind
from timebill_ros.dispatch.response_lengths import (
    ANSWERS,
    HABITS,
    POINTS,
    AnswerLength,
    Habit,
    ResponseLengths,
    likely_lengths,
)


def whole(*tokens: int) -> list[AnswerLength]:
    return [AnswerLength(count, True) for count in tokens]


def cut(*tokens: int) -> list[AnswerLength]:
    return [AnswerLength(count, False) for count in tokens]


def test_while_nothing_is_known_every_length_is_as_likely() -> None:
    lengths = likely_lengths([], 160)
    assert len(lengths) == POINTS
    assert lengths == tuple(sorted(lengths))
    assert sum(lengths) / POINTS == pytest.approx(80, abs=5)


def test_answers_of_one_length_are_expected_to_be_so_long() -> None:
    assert set(likely_lengths(whole(*[40] * 10), 256)) == {40}
    assert set(likely_lengths(whole(*[40] * 10), 30)) == {30}


def test_lengths_are_as_frequent_as_they_were_seen() -> None:
    lengths = likely_lengths(whole(*[10] * 6, *[200] * 2), 256)
    assert lengths.count(10) == POINTS * 6 // 8
    assert lengths.count(200) == POINTS * 2 // 8


def test_an_answer_that_was_cut_off_would_have_become_longer() -> None:
    # Of the seven that are longer than 10, three are known: each counts for the others, too.
    lengths = likely_lengths([*whole(10, 20, 30, 40), *cut(15, 15, 15, 15)], 256)
    assert lengths[POINTS // 2] == 30
    assert likely_lengths(whole(10, 15, 15, 15, 15, 20, 30, 40), 256)[POINTS // 2] == 15


def test_what_is_only_known_to_be_longer_counts_as_long_as_may_be() -> None:
    assert set(likely_lengths(cut(50, 60), 256)) == {256}


def test_the_estimate_finds_the_lengths_behind_random_cuts() -> None:
    # Ten thousand answers of 1 to 100 tokens, each cut off at a random length of up to 150.
    draw = random.Random(7)
    seen = []
    for _ in range(10_000):
        length, bound = draw.randint(1, 100), draw.randint(1, 150)
        seen.append(AnswerLength(min(length, bound), length <= bound))
    lengths = likely_lengths(seen, 1000)
    assert lengths == pytest.approx([100 * (part + 0.5) / POINTS for part in range(POINTS)], abs=4)


def test_an_asker_is_judged_by_its_own_answers_once_there_are_a_few() -> None:
    lengths = ResponseLengths()
    for _ in range(20):
        lengths.observe(Habit('talker'), AnswerLength(200, True))
    lengths.observe(Habit('terse'), AnswerLength(5, True))
    assert max(lengths.likely(Habit('terse'), 256)) == 200
    for _ in range(4):
        lengths.observe(Habit('terse'), AnswerLength(5, True))
    assert set(lengths.likely(Habit('terse'), 256)) == {5}
    assert set(lengths.likely(Habit('talker'), 256)) == {200}


def test_what_has_not_begun_teaches_nothing() -> None:
    lengths = ResponseLengths()
    lengths.observe(Habit('a'), AnswerLength(0, False))
    assert lengths.likely(Habit('a'), 160) == likely_lengths([], 160)


def test_old_answers_and_silent_askers_are_forgotten() -> None:
    lengths = ResponseLengths()
    for _ in range(ANSWERS):
        lengths.observe(Habit('a'), AnswerLength(200, True))
    for _ in range(ANSWERS):
        lengths.observe(Habit('a'), AnswerLength(5, True))
    assert set(lengths.likely(Habit('a'), 256)) == {5}
    for number in range(HABITS + 10):
        lengths.observe(Habit(f'asker {number}'), AnswerLength(9, True))
    assert len(lengths._of_habit) == HABITS


CHOICE = Constraint(ConstraintKind.CHOICES, choices=('GO', 'STOP'))
PLAN = Constraint(ConstraintKind.JSON_SCHEMA, '{"type": "object"}')


def test_choices_tell_nothing_of_free_text_and_no_form_of_another() -> None:
    lengths = ResponseLengths()
    for _ in range(20):
        lengths.observe(Habit('robot', CHOICE), AnswerLength(2, True))
        lengths.observe(Habit('robot', PLAN), AnswerLength(80, True))
    assert set(lengths.likely(Habit('robot', CHOICE), 256)) == {2}
    assert set(lengths.likely(Habit('robot', PLAN), 256)) == {80}
    assert lengths.likely(Habit('robot'), 256) == likely_lengths([], 256)
    another = Constraint(ConstraintKind.JSON_SCHEMA, '{"type": "array"}')
    assert set(lengths.likely(Habit('other', another), 256)) == {80}


def test_how_long_an_asker_has_the_model_think_is_learned_too() -> None:
    lengths = ResponseLengths()
    assert lengths.thinking(Habit('a')) == 0
    for thinking in (10, 20, 30, 40, 50):
        lengths.observe(Habit('a'), AnswerLength(100, True, thinking))
    assert lengths.thinking(Habit('a')) == lengths.thinking(Habit('newcomer')) == 30
    assert lengths.thinking(Habit('a', CHOICE)) == 0
