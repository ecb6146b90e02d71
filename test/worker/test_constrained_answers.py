"""Answers with a form, from a query to its end, by the built-in model and by scripted ones."""

import json
import re
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tokenizers import AddedToken

from support.scripted_model_folder import END, saved_scripted
from timebill_ros.core.constraint import Constraint, ConstraintKind
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.core.outcome import FinishReason
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.prefix.prefix_cache import PrefixCache
from timebill_ros.worker import query_server
from timebill_ros.worker.intake import Intake
from timebill_ros.worker.progress import Finished, Rejected, Text, Tokenised
from timebill_ros.worker.protocol import (
    FromWorker,
    Load,
    Recalibrate,
    Run,
    Submit,
)
from timebill_ros.worker.query_server import QueryServer

BUILT_IN: dict[str, Any] = {'model': 'smollm2-135m-instruct'}
SCHEMA = {
    'type': 'object',
    'properties': {
        'action': {'enum': ['move', 'stop', 'grasp']},
        'target': {'type': 'string', 'maxLength': 20},
        'speed': {'type': 'number', 'minimum': 0, 'maximum': 2, 'default': 0.5},
    },
    'required': ['action', 'target', 'speed'],
    'additionalProperties': False,
}


@pytest.fixture(autouse=True, scope='module')
def loaded_once() -> Iterator[None]:
    """Load the built-in model once: that is not what is tested here."""
    engines = cache(query_server.loaded_engine)

    def loaded(settings: ModelSettings) -> Engine:
        engine = engines(settings)
        engine.prefixes = PrefixCache()  # as in a new one
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(query_server, 'loaded_engine', loaded)
        yield


class ServedError(Exception):
    """Everything has been answered."""


class FakeIntake(Intake):
    """Runs each query as soon as it is tokenised, then ends the server."""

    def __init__(self, submits: list[Submit], max_new_tokens: int) -> None:
        self.sent: list[FromWorker] = []
        self._max_new_tokens = max_new_tokens
        self._submits = list(submits)
        self._heard = threading.Event()
        super().__init__(self.send)

    def send(self, message: FromWorker) -> None:
        self.sent.append(message)
        if isinstance(message, Tokenised | Rejected):
            self._heard.set()

    def next_work(self) -> Run | Recalibrate:
        while self._submits:
            submit = self._submits.pop(0)
            self._heard.clear()
            self.take(submit)
            assert self._heard.wait(30.0)
            if not any(isinstance(m, Rejected) and m.number == submit.number for m in self.sent):
                limit = self._max_new_tokens
                return Run(submit.number, limit, float('inf'), float('inf'), PlannerSettings())
        raise ServedError


def served(
    *constraints: Constraint | None,
    prompt: str = 'The robot must fetch the red cup from the kitchen table. What does it do?',
    max_new_tokens: int = 80,
    **settings: Any,
) -> list[FromWorker]:
    load = Load(
        ModelSettings(
            device='cpu', profile_time_s=0.0, length_predictor='none', **(settings or BUILT_IN)
        )
    )
    submits = [Submit(number, prompt, '', one) for number, one in enumerate(constraints)]
    intake = FakeIntake(submits, max_new_tokens)
    with pytest.raises(ServedError):
        QueryServer(load, intake, intake.send).serve()
    return intake.sent


def texts(sent: list[FromWorker], number: int = 0) -> list[Text]:
    return [m for m in sent if isinstance(m, Text) and m.number == number]


def finished(sent: list[FromWorker], number: int = 0) -> Finished:
    (found,) = [m for m in sent if isinstance(m, Finished) and m.number == number]
    return found


def schema(value: Any, **more: Any) -> Constraint:
    return Constraint(ConstraintKind.JSON_SCHEMA, json.dumps(value), **more)


def test_a_document_is_valid_at_every_moment_and_at_the_end() -> None:
    sent = served(schema(SCHEMA))
    written, closing, closed = '', None, []
    for piece in texts(sent):
        written += piece.text
        closing = piece.closing or closing
        assert closing is not None
        document = json.loads(written[: closing.safe_length] + closing.text)
        jsonschema.validate(document, SCHEMA)
        assert set(closing.invented) <= set(closing.filled)
        closed.append(closing)
    end = finished(sent)
    assert end.finish_reason is FinishReason.EOS
    jsonschema.validate(json.loads(written), SCHEMA)
    assert closed[0].invented == ('/action', '/target')  # not /speed, which has a default
    sure = [closing.mean_token_probability for closing in closed]
    assert sure[0] == 0.0  # nothing was chosen yet
    assert 0.0 < min(sure[-5:]) <= max(sure) <= 1.0
    assert sure[-1] == pytest.approx(finished(sent).mean_token_probability, rel=0.2)
    assert closed[-1].safe_length == len(written)
    assert closed[-1].filled == ()
    assert 0 < end.bill.forced_tokens < end.bill.response_tokens
    assert end.bill.constraint_time > 0.0
    assert 0.0 < end.mean_token_probability < 1.0


def test_choices_are_scored_and_the_text_is_the_choice() -> None:
    names = ('the kitchen', 'the moon', 'a submarine')
    sent = served(Constraint(ConstraintKind.CHOICES, choices=names), max_new_tokens=1)
    end = finished(sent)
    assert ''.join(piece.text for piece in texts(sent)) == names[end.choice]
    assert sum(end.choice_probabilities) == pytest.approx(1.0)
    assert end.choice_probabilities[end.choice] == max(end.choice_probabilities)
    assert end.finish_reason is FinishReason.EOS
    (tokenised,) = [m for m in sent if isinstance(m, Tokenised)]
    assert tokenised.max_response_tokens == end.bill.passes + 1


def test_a_regular_expression_is_obeyed_and_closed() -> None:
    pattern = '(go|stop) to [a-z]{4,8} [0-9]{2}'
    sent = served(Constraint(ConstraintKind.REGEX, pattern))
    written = ''.join(piece.text for piece in texts(sent))
    assert re.fullmatch(pattern, written)
    closings = [piece.closing for piece in texts(sent) if piece.closing is not None]
    assert closings
    for closing in closings:
        assert re.fullmatch(pattern, written[: closing.safe_length] + closing.text)


def test_what_cannot_be_served_is_rejected_with_a_sentence_and_the_next_is_served() -> None:
    bad = {
        'is not JSON': Constraint(ConstraintKind.JSON_SCHEMA, '{"type": '),
        'Invalid type': schema({'type': 'strin'}),
        'no document': schema(
            {
                '$defs': {
                    'n': {'type': 'object', 'properties': {'n': {'$ref': '#/$defs/n'}}}
                    | {'required': ['n']}
                },
                '$ref': '#/$defs/n',
            }
        ),
        '65536 bytes, got': schema({'description': 'x' * 1_000_000}),
        'unclosed group': Constraint(ConstraintKind.REGEX, '('),
        'no text fits': Constraint(ConstraintKind.REGEX, r'[^\s\S]'),
        'choices must have 1 to 256': Constraint(
            ConstraintKind.CHOICES, choices=tuple(map(str, range(1000)))
        ),
        "got 'a' twice": Constraint(ConstraintKind.CHOICES, choices=('a', 'b', 'a')),
        'control token': Constraint(ConstraintKind.CHOICES, choices=('a', f'b{END}')),
        'tokens, got 0': Constraint(ConstraintKind.CHOICES, choices=('a', '')),
    }
    sent = served(*bad.values(), schema({'enum': [1]}), max_new_tokens=4)
    rejected = {m.number: m.detail for m in sent if isinstance(m, Rejected)}
    assert len(rejected) == len(bad), rejected
    for detail, (words, constraint) in zip(rejected.values(), bad.items(), strict=True):
        field = 'choices' if constraint.kind is ConstraintKind.CHOICES else 'constraint'
        assert detail.startswith(field), detail
        assert words in detail, detail
        assert len(detail) < 500
    assert ''.join(piece.text for piece in texts(sent, len(bad))) == '1'


def test_an_expression_that_explodes_while_it_is_obeyed_is_rejected_too() -> None:
    explodes = Constraint(ConstraintKind.REGEX, r'.*(a|e|o).{60}\d')
    sent = served(explodes, schema({'enum': [1]}))
    (rejected,) = [m for m in sent if isinstance(m, Rejected)]
    assert rejected.number == 0
    assert 'constraint is too complex for 100000 steps at its start, 20000 a token' in (
        rejected.detail
    )
    assert ''.join(piece.text for piece in texts(sent, 1)) == '1'


def test_a_choice_that_the_context_has_no_room_for_is_named() -> None:
    long_choice = Constraint(ConstraintKind.CHOICES, choices=('stop', 'go on ' * 60))
    sent = served(long_choice, schema({'enum': [1]}), prompt='word ' * 8070)
    tokens = next(m.prompt_tokens for m in sent if isinstance(m, Tokenised))
    (rejected,) = [m for m in sent if isinstance(m, Rejected)]
    assert rejected.detail.startswith(
        f'choices[1] must have at most {8192 - tokens} tokens with the end of the answer'
    )
    assert f'{tokens} tokens leaves of the context of 8192, got 12' in rejected.detail


def test_the_constraint_begins_after_the_thinking(tmp_path: Path) -> None:
    added = [AddedToken('<think>'), AddedToken('</think>')]
    script = ['<think>', 'Left', ' or', ' right', '?', '</think>', 'Go', ' left', '.', END]
    folder = saved_scripted(tmp_path / 'm', script, added_tokens=added)
    here = {'model': str(folder), 'dtype': 'float32'}
    sent = served(schema({'enum': ['Go', 'Stay']}), max_new_tokens=20, **here)
    assert ''.join(piece.text for piece in texts(sent)) in ('"Go"', '"Stay"')
    assert finished(sent).bill.thinking_tokens == 6
    chosen = served(Constraint(ConstraintKind.CHOICES, choices=('Go', 'Stay')), **here)
    assert (finished(chosen).choice, finished(chosen).bill.thinking_tokens) == (0, 6)


def test_thinking_that_leaves_no_room_for_a_choice_ends_by_its_length(tmp_path: Path) -> None:
    added = [AddedToken('<think>'), AddedToken('</think>')]
    script = ['<think>', 'Left', '?', '</think>', 'Go', END]
    folder = saved_scripted(tmp_path / 'm', script, added_tokens=added)
    choices = Constraint(ConstraintKind.CHOICES, choices=('Go', 'Go left or right'))
    # With 6 tokens there is room for the thinking, for 'Go' and its end, not for the other one.
    for max_new_tokens, choice in ((20, 0), (6, -1)):
        here = {'model': str(folder), 'dtype': 'float32', 'max_new_tokens': max_new_tokens}
        end = finished(served(choices, **here))
        reason = FinishReason.LENGTH if choice < 0 else FinishReason.EOS
        assert (end.choice, end.finish_reason) == (choice, reason)


def test_an_answer_that_does_not_think_is_constrained_from_its_start(tmp_path: Path) -> None:
    added = [AddedToken('<think>'), AddedToken('</think>')]
    folder = saved_scripted(tmp_path / 'm', ['Go', ' left', '.', END], added_tokens=added)
    sent = served(schema({'const': 7}), model=str(folder), dtype='float32')
    assert ''.join(piece.text for piece in texts(sent)) == '7'
    assert finished(sent).bill.thinking_tokens == 0


@pytest.fixture(autouse=True)
def own_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
