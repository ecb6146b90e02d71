"""The messages between the node and the worker process. wire.py sends and receives them.

The node gives each query a number and never uses it twice. An asker may use its id again while
the worker still ends the first query of that id.
"""

from typing import Literal

from msgspec import Struct

from timebill_ros.core.asker_lengths import AskerLengths
from timebill_ros.core.constraint import Constraint
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.core.time_model import TimeModel
from timebill_ros.core.turn import Turn
from timebill_ros.worker.progress import Progress


class Load(Struct, frozen=True, tag=True):
    """Node to worker, first of all: load this model."""

    settings: ModelSettings


class Submit(Struct, frozen=True, tag=True):
    """Node to worker: tokenise this query, compile its constraint, and hold it.

    Arguments:
        constraint: the form of the answer; None: free text.
        context: before the prompt, in the same turn.
        history: the turns before it, oldest first.
    """

    number: int
    prompt: str
    system_prompt: str
    constraint: Constraint | None = None
    context: str = ''
    history: tuple[Turn, ...] = ()


class Run(Struct, frozen=True, tag=True):
    """Node to worker: answer a tokenised query.

    Arguments:
        last_moment_s: what the plan must fit into, on the monotonic clock [s].
        stop_at_s: when the worker ends it by itself; later where it may finish late.
        lengths: what was learned of such answers; None: nothing.
    """

    number: int
    max_new_tokens: int
    last_moment_s: float
    stop_at_s: float
    planner: PlannerSettings
    lengths: AskerLengths | None = None


class Drop(Struct, frozen=True, tag=True):
    """Node to worker: stop a query, or forget it. Answered only if it runs: by how it ended."""

    number: int


class Prepare(Struct, frozen=True, tag=True):
    """Node to worker: read a context while nothing else is to do, and hold it; then Prepared.

    Arguments:
        number: of the preparation.
        holder: holds one context: the next takes its place.
        system_prompt, context: if both are empty, what the holder held is let go.
    """

    number: int
    holder: str
    system_prompt: str
    context: str


class Recalibrate(Struct, frozen=True, tag=True):
    """Node to worker, while no query is served: measure the time model again; then Estimate."""


class Ready(Struct, frozen=True, tag=True):
    """Worker to node: loaded and warm.

    Arguments:
        quantization: of the decoding step's weights: 'none', 'int8' or 'int4'.
        step: what computes it: 'native' and an instruction set, or 'transformers'.
        length_predictor: what predicts the length of answers; 'none': nothing.
        threads: of the inference.
        lengths_file: where the node keeps what it learns of this model's answers; '': nowhere.
    """

    model: str
    device: str
    dtype: str
    context_length: int
    min_kept_tokens: int
    quantization: str
    step: str
    length_predictor: str
    threads: int = 1
    lengths_file: str = ''


class Estimate(Struct, frozen=True, tag=True):
    """Worker to node: the time model, at READY, after each generation and when measured again.

    Arguments:
        time_model: with drift applied; None: not measured.
        drift_factor: of writing (steps and evictions), measured over profiled, of late.
        is_drifting: a factor has left its usual range.
        error: of the last generation, measured / predicted total time - 1; 0 before the first.
        reading_drift_factor: the same of reading (the prefill).
    """

    time_model: TimeModel | None
    drift_factor: float = 1.0
    is_drifting: bool = False
    error: float = 0.0
    reading_drift_factor: float = 1.0


class Phase(Struct, frozen=True, tag=True):
    """Worker to node, before READY and while it measures again: what takes so long.

    Arguments:
        doing: 'loading' the model, or 'measuring' its time model.
        share: of it that is done, in [0, 1]; 0 while that is not known.
    """

    doing: Literal['loading', 'measuring']
    share: float = 0.0


class Failed(Struct, frozen=True, tag=True):
    """Worker to node: the model cannot be loaded.

    Arguments:
        detail: a sentence for a person.
        may_pass: whether the cause may pass by itself, so that trying again can help.
    """

    detail: str
    may_pass: bool = False


class Prepared(Struct, frozen=True, tag=True):
    """Worker to node: a context is held, or cannot be.

    Arguments:
        detail: a sentence why it is not held; '': it is, or was let go.
        tokens: so many are held.
        seconds: that reading took.
        nbytes: of their keys and values.
    """

    number: int
    detail: str
    tokens: int = 0
    seconds: float = 0.0
    nbytes: int = 0


class PrefixesHeld(Struct, frozen=True, tag=True):
    """Worker to node: what the cache holds of prompts that were read, and for what there is room.

    Arguments:
        prompts: how many beginnings of prompts.
        longest_tokens: the length of the longest.
        room_tokens: the caches of all queries that have begun may have so many tokens together;
            0: that is not known.
    """

    prompts: int
    nbytes: int
    longest_tokens: int
    room_tokens: int = 0


ToWorker = Load | Submit | Run | Drop | Prepare | Recalibrate
FromWorker = Ready | Estimate | Phase | Failed | PrefixesHeld | Prepared | Progress
