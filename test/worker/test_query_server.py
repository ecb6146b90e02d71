"""The worker's way from a tokenised query to its end, with a model that says what it is told."""

import threading
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken

from support.scripted_model_folder import END, PLAIN_TEMPLATE, saved_scripted
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.core.outcome import FinishReason
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.worker.intake import Intake
from timebill_ros.worker.progress import Finished, Planned, Text, Tokenised
from timebill_ros.worker.protocol import (
    Drop,
    FromWorker,
    Load,
    Ready,
    Recalibrate,
    Run,
    Submit,
)
from timebill_ros.worker.query_server import QueryServer

ADDED = [AddedToken('<think>'), AddedToken('</think>')]
SPECIAL = [AddedToken('<think>', special=True), AddedToken('</think>', special=True)]
THOUGHT = ['<think>', 'Left', ' or', ' right', '?', '</think>', '\n\n', 'Go', ' left', '.', END]
OPENS = PLAIN_TEMPLATE + "{% if enable_thinking is not false %}{{ '<think>\n' }}{% endif %}"


class ServedError(Exception):
    """Everything has been answered."""


class FakeIntake(Intake):
    """Runs one query as soon as it is tokenised, then ends the server."""

    def __init__(self, max_new_tokens: int, drop_at: int) -> None:
        self.sent: list[FromWorker] = []
        self._max_new_tokens, self._drop_at = max_new_tokens, drop_at
        self._tokenised = threading.Event()
        self._runs = 0
        super().__init__(self.send)

    def send(self, message: FromWorker) -> None:
        self.sent.append(message)
        if isinstance(message, Tokenised):
            self._tokenised.set()
        if isinstance(message, Text) and message.response_tokens == self._drop_at:
            self.take(Drop(message.number))

    def next_work(self) -> Run | Recalibrate:
        self._runs += 1
        if self._runs > 1:
            raise ServedError
        assert self._tokenised.wait(10.0)
        return Run(0, self._max_new_tokens, float('inf'), float('inf'), PlannerSettings())


def served(
    folder: Path, max_new_tokens: int = 20, drop_at: int = 0, **settings: Any
) -> tuple[str, Finished, list[Text]]:
    """Return the text of a model's answer to a question, how it ended, and its pieces."""
    load = Load(
        ModelSettings(
            model=str(folder),
            device='cpu',
            dtype='float32',
            profile_time_s=0.0,
            length_predictor='none',
            **settings,
        )
    )
    intake = FakeIntake(max_new_tokens, drop_at)
    intake.take(Submit(0, 'Which way?', ''))
    with pytest.raises(ServedError):
        QueryServer(load, intake, intake.send).serve()
    pieces = [message for message in intake.sent if isinstance(message, Text)]
    (finished,) = [message for message in intake.sent if isinstance(message, Finished)]
    return ''.join(piece.text for piece in pieces), finished, pieces


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


@pytest.mark.parametrize('added', [ADDED, SPECIAL])
def test_thinking_is_billed_and_not_in_the_text(tmp_path: Path, added: list[AddedToken]) -> None:
    text, finished, pieces = served(saved_scripted(tmp_path / 'm', THOUGHT, added_tokens=added))
    assert text == 'Go left.'
    assert finished.finish_reason is FinishReason.EOS
    assert (finished.bill.thinking_tokens, finished.bill.response_tokens) == (6, 11)
    counts = [(piece.response_tokens, piece.thinking_tokens) for piece in pieces]
    assert counts[:7] == [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 6)]


def test_a_template_may_open_the_thinking_and_its_closing_tag_be_split(tmp_path: Path) -> None:
    script = ['Left', ' or', ' right', '</', 'think', '>', 'Go', '.', END]
    folder = saved_scripted(tmp_path / 'm', script, template=OPENS)
    text, finished, _ = served(folder)
    assert (text, finished.bill.thinking_tokens) == ('Go.', 6)


def test_an_argument_of_the_template_turns_the_thinking_off(tmp_path: Path) -> None:
    folder = saved_scripted(tmp_path / 'm', ['Go', ' left', '.', END], template=OPENS)
    text, finished, _ = served(folder, chat_template_arguments='{"enable_thinking": false}')
    assert (text, finished.bill.thinking_tokens) == ('Go left.', 0)
    text, finished, _ = served(folder)
    assert (text, finished.bill.thinking_tokens) == ('', 4)


def test_an_answer_without_thinking_is_as_it_was(tmp_path: Path) -> None:
    folder = saved_scripted(tmp_path / 'm', [' Go', ' left', '.', END])
    text, finished, pieces = served(folder)
    assert (text, finished.bill.thinking_tokens) == (' Go left.', 0)
    assert [piece.text for piece in pieces] == [' Go', ' left', '.', '', '']


def test_what_is_stopped_or_ends_while_it_thinks_has_no_text(tmp_path: Path) -> None:
    folder = saved_scripted(tmp_path / 'm', THOUGHT, added_tokens=ADDED)
    for limits, reason in (({'max_new_tokens': 4}, FinishReason.LENGTH), ({'drop_at': 4}, None)):
        text, finished, _ = served(folder, **limits)
        assert (text, finished.finish_reason) == ('', reason)
        assert (finished.bill.thinking_tokens, finished.bill.response_tokens) == (4, 4)


def test_a_template_from_a_file_serves_a_model_without_one(tmp_path: Path) -> None:
    folder = saved_scripted(tmp_path / 'm', ['Go', '.', END])
    (folder / 'chat_template.jinja').unlink()
    with pytest.raises(ValueError, match='has no chat template: set chat_template to a file'):
        served(folder)
    template = tmp_path / 'mine.jinja'
    template.write_text(PLAIN_TEMPLATE)
    assert served(folder, chat_template=str(template))[0] == 'Go.'
    template.write_text('{# nothing #}')
    with pytest.raises(ValueError, match=r"chat_template '.*mine.jinja' cannot be used: it drops"):
        served(folder, chat_template=str(template))


def test_the_node_is_told_where_lengths_of_the_models_answers_are_kept(tmp_path: Path) -> None:
    files = []
    for name, penalty in (('one', 1.0), ('two', 1.0), ('two', 1.1)):
        folder = tmp_path / name
        if not folder.exists():
            saved_scripted(folder, ['Go', END])
        intake = FakeIntake(20, 0)
        intake.take(Submit(0, 'Which way?', ''))
        settings = ModelSettings(
            model=str(folder),
            device='cpu',
            dtype='float32',
            profile_time_s=0.0,
            length_predictor='none',
            repetition_penalty=penalty,
        )
        with pytest.raises(ServedError):
            QueryServer(Load(settings), intake, intake.send).serve()
        (ready,) = [message for message in intake.sent if isinstance(message, Ready)]
        (planned,) = [message for message in intake.sent if isinstance(message, Planned)]
        assert planned.predicted_lengths == ()
        files.append(Path(ready.lengths_file))
    # By what is in the file of weights, not by its name; another penalty gives other answers.
    assert files[0] == files[1] != files[2]
    assert {file.parent.name for file in files} == {'learned_lengths'}
    assert all(file.is_relative_to(tmp_path / 'cache') for file in files)
