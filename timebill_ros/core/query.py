"""A query as the rest of the node sees it: without ROS messages."""

from dataclasses import dataclass

from timebill_ros.core.constraint import Constraint
from timebill_ros.core.deadline import Deadline
from timebill_ros.core.outcome import OverrunPolicy
from timebill_ros.core.remote_policy import RemotePolicy
from timebill_ros.core.turn import Turn


@dataclass(frozen=True, order=True)
class QueryKey:
    """Identity of a query: its asker, and the id that the asker gave it."""

    asker: str
    id: str


@dataclass(frozen=True)
class Origin:
    """Where a query comes from, and so its replies go to.

    Arguments:
        key: its identity. Every reply repeats it.
        stamp_sec, stamp_nanosec: its unchanged stamp, ROS time. Every reply repeats it.
        goal: the goal of the action that asked it; empty: a message did.
    """

    key: QueryKey
    stamp_sec: int = 0
    stamp_nanosec: int = 0
    goal: str = ''


@dataclass(frozen=True)
class Query:
    """A valid query. Its time budget has become a deadline.

    Arguments:
        origin: its identity and stamp.
        prompt: the question.
        system_prompt: the instruction before it; empty: the model's chat template decides.
        max_new_tokens: upper bound of the answer's length, N_max [tokens].
        overrun_policy: never DEFAULT.
        asked_at_s: start of its time budget, on the deadline's clock [s].
        deadline: end of its time budget.
        constraint: the form of the answer; None: free text.
        context: before the prompt, in the same turn; empty: none.
        history: the conversation before it, oldest first.
        remote_policy: whether a remote engine may answer.
    """

    origin: Origin
    prompt: str
    system_prompt: str
    max_new_tokens: int
    overrun_policy: OverrunPolicy
    asked_at_s: float
    deadline: Deadline
    constraint: Constraint | None = None
    context: str = ''
    history: tuple[Turn, ...] = ()
    remote_policy: RemotePolicy = RemotePolicy.OFF

    @property
    def texts(self) -> tuple[str, ...]:
        """All that the model reads of it."""
        turns = (turn.text for turn in self.history)
        return (self.prompt, self.system_prompt, self.context, *turns)

    @property
    def key(self) -> QueryKey:
        """Its identity."""
        return self.origin.key

    @property
    def time_budget_s(self) -> float:
        """The whole budget, from the stamp to the deadline [s]."""
        return self.deadline.at_s - self.asked_at_s
