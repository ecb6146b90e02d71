"""Messages survive the trip between the processes, and what is no message is said."""

import math
import socket
from collections.abc import Iterator
from typing import get_args

import msgspec
import numpy as np
import pytest

from timebill_ros.core.asker_lengths import AskerLengths
from timebill_ros.core.bill import Bill
from timebill_ros.core.constraint import Closing, Constraint, ConstraintKind
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.core.outcome import FinishReason
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.core.time_model import TimeModel
from timebill_ros.core.turn import Role, Turn
from timebill_ros.worker.progress import (
    Cached,
    Faulted,
    Finished,
    Planned,
    Rejected,
    Text,
    Tokenised,
)
from timebill_ros.worker.protocol import (
    Drop,
    Estimate,
    Failed,
    FromWorker,
    Load,
    Phase,
    PrefixesHeld,
    Prepare,
    Prepared,
    Ready,
    Recalibrate,
    Run,
    Submit,
    ToWorker,
)
from timebill_ros.worker.wire import (
    BadMessageError,
    encode,
    messages_from_worker,
    messages_to_worker,
)

Pair = tuple[socket.socket, socket.socket]

TO_WORKER: list[ToWorker] = [
    Load(ModelSettings(model='model', threads=2)),
    Submit(0, 'Wo ist die Küche?\n\0', '寿司'),
    Submit(1, 'Left?', '', Constraint(ConstraintKind.CHOICES, choices=('yes', 'no'))),
    Submit(2, 'And now?', '', None, 'A map.', (Turn(Role.USER, 'Hi'), Turn(Role.ASSISTANT, 'Ho'))),
    Run(1, 10, math.inf, math.inf, PlannerSettings(eviction_policy='expected')),
    Run(2, 10, 1.5, 2.5, PlannerSettings(), AskerLengths((0.25, 0.75), 0.5)),
    Drop(2**40),
    Prepare(3, 'asker a', 'Be brief.', 'A map.'),
    Recalibrate(),
]
FROM_WORKER: list[FromWorker] = [
    Ready('model', 'cpu', 'float32', 100, 16, 'none', 'transformers', 'none', threads=3),
    Ready('m', 'cpu', 'float32', 1, 1, 'none', 'native', 'none', lengths_file='/cache/l.json'),
    Estimate(None),
    Estimate(TimeModel(0.1, 0.2, 0.3, 0.4, 0.5), 1.5, True, -0.1, 0.9),
    Failed('no such model'),
    Failed('no network', may_pass=True),
    Phase('loading'),
    Phase('measuring', 0.5),
    Tokenised(1, 12),
    Tokenised(1, 12, cached_tokens=8),
    Cached(1, 0),
    Prepared(3, '', 2048, 2.5, 10**10),
    PrefixesHeld(2, 10**9, 4096),
    Rejected(1, 'constraint: no such thing'),
    Planned(1, Bill(prompt_tokens=12, worst_case_time=math.inf)),
    Planned(1, Bill(), (0.25, 0.75)),
    Text(1, ' 🤖', 3, 2),
    Text(1, '{"a": ', 3, closing=Closing(1, '"a": 0}', ('/a',), ('/a',))),
    Finished(1, FinishReason.EOS, Bill(total_time=1.5)),
    Finished(1, FinishReason.EOS, Bill(), 1, (0.25, 0.75), 0.5),
    Finished(1, None, Bill()),
    Faulted(1, 'out of memory'),
]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_every_message_arrives_as_it_was_sent(pair: Pair) -> None:
    assert {type(message) for message in TO_WORKER} == set(get_args(ToWorker))
    assert {type(message) for message in FROM_WORKER} == set(get_args(FromWorker))
    ours, theirs = pair
    for message in TO_WORKER:
        ours.sendall(encode(message))
    for message in FROM_WORKER:
        theirs.sendall(encode(message))
    ours.shutdown(socket.SHUT_WR)
    theirs.shutdown(socket.SHUT_WR)
    assert list(messages_to_worker(theirs)) == TO_WORKER
    arrived = list(messages_from_worker(ours))
    assert arrived == FROM_WORKER
    assert isinstance(arrived[-4], Finished)
    assert arrived[-4].finish_reason is FinishReason.EOS


def test_a_message_of_many_pieces_arrives_whole(pair: Pair) -> None:
    ours, theirs = pair
    sent = encode(Submit(0, 'word ' * 1000, ''))
    ours.sendall(sent[:3])
    messages = messages_to_worker(theirs)
    ours.sendall(sent[3:1000])
    ours.sendall(sent[1000:] + encode(Drop(0)))
    assert next(messages) == Submit(0, 'word ' * 1000, '')
    assert next(messages) == Drop(0)  # the connection is still open


@pytest.mark.parametrize('bytes_left', [2, 4, 7])
def test_a_message_cut_off_by_death_is_none(pair: Pair, bytes_left: int) -> None:
    ours, theirs = pair
    ours.sendall(encode(Drop(0)) + encode(Submit(1, 'a prompt', ''))[:bytes_left])
    ours.close()
    assert list(messages_to_worker(theirs)) == [Drop(0)]


def test_what_utf8_cannot_hold_becomes_a_question_mark_also_in_settings(pair: Pair) -> None:
    ours, theirs = pair
    ours.sendall(encode(Submit(0, 'a \ud800 b', 'ü')))
    ours.sendall(encode(Load(ModelSettings(model='/models/\udcff.gguf'))))
    choices = Constraint(ConstraintKind.CHOICES, choices=('ja', 'n\udcff'))
    ours.sendall(encode(Submit(1, 'a', '', choices)))
    messages = messages_to_worker(theirs)
    assert next(messages) == Submit(0, 'a ? b', 'ü')
    assert next(messages) == Load(ModelSettings(model='/models/?.gguf'))
    replaced = Constraint(ConstraintKind.CHOICES, choices=('ja', 'n?'))
    assert next(messages) == Submit(1, 'a', '', replaced)


def test_numbers_of_numpy_arrive_as_floats(pair: Pair) -> None:
    ours, theirs = pair
    model = TimeModel(np.float64(0.1), 0.0, 0.0, 0.0, 1.0)
    theirs.sendall(encode(Estimate(model, error=np.float64(0.5))))
    message = next(messages_from_worker(ours))
    assert message == Estimate(model, error=0.5)
    assert isinstance(message, Estimate)
    assert type(message.error) is float


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        ({'type': 'Greet'}, "'Greet'"),
        ({'type': 'Text', 'number': 1}, 'text'),  # sent by the worker only
        ({'type': 'Drop', 'number': 'one'}, '`int`'),
        ({'type': 'Drop'}, 'number'),
        (
            {
                'type': 'Run',
                'number': 1,
                'max_new_tokens': 1,
                'last_moment_s': 0.0,
                'stop_at_s': 0.0,
                'planner': {'pessimistic_factor': 0.5},
            },
            'pessimistic_factor must be in .*, got 0.5',
        ),
    ],
)
def test_what_is_no_message_is_an_error_that_says_why(
    pair: Pair, content: object, said: str
) -> None:
    ours, theirs = pair
    payload = msgspec.msgpack.encode(content)
    ours.sendall(len(payload).to_bytes(4, 'big') + payload)
    with pytest.raises(BadMessageError, match=f'(?i){said}'):
        next(messages_to_worker(theirs))
