"""What the node and the worker process say to each other: one JSON object a line.

A query is known by a number that the node gives it, never used twice: an (asker, id) may come
    again while the
worker still ends its first use.
"""

import json
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, get_args

from timebill_ros.core.bill import Bill
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.core.time_model import TimeModel


@dataclass(frozen=True)
class Load:
    """Node to worker, first of all: load this model."""

    settings: ModelSettings


@dataclass(frozen=True)
class Submit:
    """Node to worker: tokenise this query and hold it."""

    number: int
    prompt: str
    system_prompt: str


@dataclass(frozen=True)
class Run:
    """Node to worker: answer a tokenised query.

    Arguments:
        last_moment_s: what the plan must fit into, on the monotonic clock [s].
        stop_at_s: when the worker ends it by itself; later where it may finish late.
    """

    number: int
    max_new_tokens: int
    last_moment_s: float
    stop_at_s: float
    planner: PlannerSettings


@dataclass(frozen=True)
class Drop:
    """Node to worker: stop a query, or forget it. Answered only if it runs: by how it ended."""

    number: int


@dataclass(frozen=True)
class Recalibrate:
    """Node to worker, while no query is served: measure the time model again; then Estimate."""


@dataclass(frozen=True)
class Ready:
    """Worker to node: loaded and warm.

    Arguments:
        quantization: of the decoding step's weights: 'none', 'int8' or 'int4'.
        step: what computes it: 'native' and an instruction set, or 'transformers'.
        length_predictor: what predicts the length of answers; 'none': nothing.
    """

    model: str
    device: str
    dtype: str
    context_length: int
    min_kept_tokens: int
    quantization: str
    step: str
    length_predictor: str


@dataclass(frozen=True)
class Estimate:
    """Worker to node: the time model, at READY, after each generation and when measured again.

    Arguments:
        time_model: with drift applied; None: not measured.
        drift_factor: measured over predicted, of late.
        is_drifting: the factor has left its usual range.
        error: of the last generation, measured / predicted total time - 1; 0 before the first.
    """

    time_model: TimeModel | None
    drift_factor: float = 1.0
    is_drifting: bool = False
    error: float = 0.0


@dataclass(frozen=True)
class Failed:
    """Worker to node: the model cannot be loaded, and trying again would not help."""

    detail: str


@dataclass(frozen=True)
class Tokenised:
    """Worker to node: the query's length with the chat template applied."""

    number: int
    prompt_tokens: int


@dataclass(frozen=True)
class Planned:
    """Worker to node: the prefill has ended; the bill so far, with what the plan expects."""

    number: int
    bill: Bill


@dataclass(frozen=True)
class Text:
    """Worker to node: more text, often '', and the response's length so far."""

    number: int
    text: str
    response_tokens: int


@dataclass(frozen=True)
class Finished:
    """Worker to node: the query's generation ended; finish_reason 0: it was stopped."""

    number: int
    finish_reason: int
    bill: Bill


@dataclass(frozen=True)
class Faulted:
    """Worker to node: the query ended in an error that the worker survived."""

    number: int
    detail: str


ToWorker = Load | Submit | Run | Drop | Recalibrate
FromWorker = Ready | Estimate | Failed | Tokenised | Planned | Text | Finished | Faulted

_MESSAGES: dict[str, Any] = {
    message.__name__: message for message in (*get_args(ToWorker), *get_args(FromWorker))
}
_NESTED: dict[str, Any] = {
    'bill': Bill,
    'planner': PlannerSettings,
    'settings': ModelSettings,
    'time_model': TimeModel,
}
"""Fields that are dataclasses themselves, by name."""


def encode(message: ToWorker | FromWorker) -> bytes:
    """Return a message as one line."""
    return json.dumps([type(message).__name__, asdict(message)]).encode() + b'\n'


def decode(line: bytes) -> Any:
    """Return the message of a line."""
    name, fields = json.loads(line)
    for field, kind in _NESTED.items():
        if fields.get(field) is not None:
            fields[field] = kind(**fields[field])
    return _MESSAGES[name](**fields)


def receive(connection: socket.socket) -> Iterator[Any]:
    """Yield the messages of a connection until its other side closes or dies."""
    with connection.makefile('rb') as lines:
        try:
            for line in lines:
                if line.endswith(b'\n'):
                    yield decode(line)
        except OSError:  # reset: the other side was killed
            return
