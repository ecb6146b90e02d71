"""A query as the worker process holds it, from its submission to its end."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from timebill_ros.core.abort_flag import AbortFlag
from timebill_ros.core.constraint import Constraint
from timebill_ros.core.turn import Turn

if TYPE_CHECKING:  # it loads torch, which the process does only once it listens
    from timebill_ros.inference.constraint.compiler import Form


@dataclass
class HeldQuery:
    """Changed under the intake's lock only, but for predicted_lengths.

    Arguments:
        context, history: what is read before the prompt.
        token_ids: the prompt with the chat template applied; empty until it is tokenised.
        form: the constraint, compiled.
        cached_tokens: so many of them are promised to be in the cache.
        is_next: the node has sent it to run.
        predicted_lengths: by the length predictor, for the node; empty: nothing.
        abort: set to end its generation.
    """

    prompt: str
    system_prompt: str
    context: str = ''
    history: tuple[Turn, ...] = ()
    constraint: Constraint | None = None
    token_ids: list[int] = field(default_factory=list)
    form: 'Form | None' = None
    cached_tokens: int = 0
    is_next: bool = False
    is_running: bool = False
    predicted_lengths: tuple[float, ...] = ()
    abort: AbortFlag = field(default_factory=AbortFlag)
