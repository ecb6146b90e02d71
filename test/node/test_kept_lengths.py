"""Learned lengths on the disk, while the node runs."""

import threading
from pathlib import Path

import pytest

from support.fake_logger import FakeLogger
from timebill_ros.dispatch import lengths_file
from timebill_ros.dispatch.answer_length import AnswerLength
from timebill_ros.dispatch.habit import Habit
from timebill_ros.dispatch.learned_lengths import LearnedLengths
from timebill_ros.dispatch.length_memory import LengthMemory
from timebill_ros.node import kept_lengths
from timebill_ros.node.kept_lengths import KeptLengths

HABIT = Habit('a')


class Node:
    """What keeps lengths in a file, from its start on."""

    def __init__(self, path: Path | str, lengths: LearnedLengths | None = None) -> None:
        self.lengths = lengths or LearnedLengths()
        self.logger = FakeLogger()
        self.kept = KeptLengths(self.lengths, self.logger)
        self.kept.open(str(path))

    def learn(self, tokens: int = 20) -> None:
        self.lengths.observe(HABIT, AnswerLength(tokens, True), 1024, ())


def test_lengths_outlive_the_node(tmp_path: Path) -> None:
    path = tmp_path / 'lengths.json'
    node = Node(path)
    node.learn()
    node.kept.close()
    before = node.lengths.of(HABIT)
    again = Node(path)
    after = again.lengths.of(HABIT)
    assert before is not None
    assert after is not None
    assert after.probabilities == pytest.approx(before.probabilities, abs=1e-4)
    assert again.logger.lines == node.logger.lines == []
    again.kept.close()


def test_another_model_does_not_inherit_them(tmp_path: Path) -> None:
    first = Node(tmp_path / 'one.json')
    first.learn()
    first.kept.close()
    second = Node(tmp_path / 'two.json', first.lengths)
    assert second.lengths.of(HABIT) is None
    second.kept.close()
    assert [path.name for path in tmp_path.iterdir()] == ['one.json']  # nothing new to write


def test_a_worker_that_replaces_another_does_not_bring_back_the_file(tmp_path: Path) -> None:
    path = tmp_path / 'lengths.json'
    node = Node(path)
    node.learn()
    known = node.lengths.of(HABIT)
    node.kept.open(str(path))
    assert node.lengths.of(HABIT) == known
    node.kept.close()


def test_a_damaged_file_is_said_once_and_learned_anew(tmp_path: Path) -> None:
    path = tmp_path / 'lengths.json'
    path.write_text('{')
    node = Node(path)
    (sentence,) = node.logger.at('warning')
    assert str(path) in sentence
    assert sentence.endswith('they are learned anew')
    node.learn()
    node.kept.close()
    assert lengths_file.load(path) is not None


def test_without_a_folder_that_can_be_written_it_goes_on_and_says_so_once(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    node = Node(tmp_path / 'file' / 'lengths.json')
    node.logger.lines.clear()
    node.learn()
    node.kept._write()
    node.learn()
    node.kept.close()
    (sentence,) = node.logger.at('warning')
    assert 'cannot be kept in' in sentence
    assert node.lengths.of(HABIT) is not None


def test_without_a_place_nothing_is_kept() -> None:
    node = Node('')
    node.learn()
    node.kept.close()
    assert node.logger.lines == []
    assert node.lengths.of(HABIT) is not None


def test_they_are_written_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A robot may be switched off at any moment."""
    written = threading.Event()

    def save(path: Path, memory: object) -> None:
        written.set()

    monkeypatch.setattr(kept_lengths, 'PERIOD_S', 0.01)
    monkeypatch.setattr(lengths_file, 'save', save)
    node = Node(tmp_path / 'lengths.json')
    node.learn()
    assert written.wait(10.0)
    node.kept.close()


def test_the_end_does_not_wait_for_a_slow_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own thread writes, also what was known at the end and is replaced meanwhile."""
    goes_on, written = threading.Event(), threading.Event()
    saved: list[LengthMemory] = []

    def save(path: Path, memory: LengthMemory) -> None:
        assert threading.current_thread().name == 'lengths'
        assert goes_on.wait(10.0)
        saved.append(memory)
        written.set()

    monkeypatch.setattr(lengths_file, 'save', save)
    monkeypatch.setattr(kept_lengths, '_LAST_WRITE_S', 0.05)
    node = Node(tmp_path / 'lengths.json')
    node.learn()
    node.kept.close()
    assert node.logger.at('warning')[0].startswith('the learned lengths are still being written')
    node.lengths.replace(LengthMemory())
    goes_on.set()
    assert written.wait(10.0)
    assert len(saved[0].of_habit) == 1


@pytest.mark.parametrize('name', ['\udcff.json', '\ud800.json'], ids=['latin', 'half a pair'])
def test_a_path_that_is_not_utf_8_is_said_in_a_sentence_at_most(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[object] = []
    monkeypatch.setattr(threading, 'excepthook', failures.append)
    node = Node(f'{tmp_path}/{name}')
    node.learn()
    node.kept.close()
    assert failures == []
    for sentence in node.logger.at('warning'):
        sentence.encode()
    assert len(list(tmp_path.iterdir())) == (1 if name == '\udcff.json' else 0)


def test_nothing_is_opened_after_the_end(tmp_path: Path) -> None:
    lengths = LearnedLengths()
    kept = KeptLengths(lengths, FakeLogger())
    kept.close()
    lengths.observe(HABIT, AnswerLength(20, True), 1024, ())
    kept.open(str(tmp_path / 'lengths.json'))
    assert lengths.of(HABIT) is not None
    kept.close()
    assert list(tmp_path.iterdir()) == []
