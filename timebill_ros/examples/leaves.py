"""Leaves of a behaviour tree that ask the node: one chooses an action, one plans a detour."""

import enum
import time
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

from msgspec import Meta

from timebill_ros.client import Reply, ReplyFuture, TimeBillClient
from timebill_ros.msg import Query

SPEED_M_PER_S = 0.5
ACTIONS = ('GO', 'TURN', 'WAIT')
SAFE_ACTION = 'WAIT'
LEAST_PROBABILITY = 0.4
"""The robot takes the safe action if the model is less sure of its choice."""
_LEAST_BUDGET_S = 0.001


@dataclass(frozen=True)
class Obstacle:
    """An obstacle ahead. The robot must decide before it reaches the obstacle."""

    what: str
    distance_m: float

    @property
    def time_budget_s(self) -> float:
        """Time until the robot reaches the obstacle [s]."""
        return self.distance_m / SPEED_M_PER_S

    def __str__(self) -> str:
        return f'{self.what}, {self.time_budget_s:.2f} s away'


@dataclass
class Step:
    """A step of a detour."""

    move: Literal['LEFT', 'RIGHT', 'FORWARD']
    metres: float


@dataclass
class Detour:
    """The form of a plan. The model writes these fields, and no others."""

    steps: Annotated[list[Step], Meta(min_length=1, max_length=3)]

    def __str__(self) -> str:
        return ', '.join(f'{step.move} {step.metres:g} m' for step in self.steps)


class Status(enum.Enum):
    """The status that a tick of a leaf returns. The names are those of py_trees."""

    RUNNING = 'running'
    SUCCESS = 'success'


class Leaf(Protocol):
    """A leaf. A tick never blocks."""

    def tick(self) -> Status:
        """Do a bit of its work."""


class Decision:
    """Chooses an action (CHOICES). Its first tick asks, the next ones look for the reply.

    After SUCCESS, `action` and `because` are set.
    """

    def __init__(self, client: TimeBillClient, obstacle: Obstacle) -> None:
        self._client = client
        self.obstacle = obstacle
        self.reach_s = 0.0
        """When the robot reaches the obstacle, on the monotonic clock."""
        self._future: ReplyFuture | None = None
        self.action = ''
        self.because = ''

    def tick(self) -> Status:
        """Ask, or look for the reply."""
        if self._future is None:
            self.reach_s = time.monotonic() + self.obstacle.time_budget_s
            self._future = self._client.ask(
                f'A robot drives at {SPEED_M_PER_S} m/s. {self.obstacle.distance_m} m ahead is '
                f'{self.obstacle.what}. What should the robot do?',
                self.obstacle.time_budget_s,
                choices=ACTIONS,
            )
        if not self._future.done():
            return Status.RUNNING
        self.action, self.because = decide(self._future.result())
        return Status.SUCCESS


class DetourPlan:
    """Plans a detour (JSON_SCHEMA) if the decision is to turn.

    Under the overrun policy PARTIAL, a plan that the deadline cuts off still is a whole document:
    the steps so far. Without a plan, the robot takes the safe action.
    """

    def __init__(self, client: TimeBillClient, decision: Decision) -> None:
        self._client = client
        self._decision = decision
        self._future: ReplyFuture | None = None

    def tick(self) -> Status:
        """Ask, or look for the reply; nothing else if the robot does not turn."""
        decision = self._decision
        if decision.action != 'TURN':
            return Status.SUCCESS
        if self._future is None:
            left_s = decision.reach_s - time.monotonic()
            self._future = self._client.ask(
                f'A robot turns before {decision.obstacle.what}. Plan its way around, step by '
                'step.',
                max(_LEAST_BUDGET_S, left_s),
                max_new_tokens=64,
                overrun_policy=Query.PARTIAL,
                json_schema=Detour,
            )
        if not self._future.done():
            return Status.RUNNING
        reply = self._future.result()
        if reply.answered:
            decision.because += f'; {reply.parsed}'
        else:
            decision.action = SAFE_ACTION
            decision.because = f'no detour: {reply.reason}: {reply.detail}'
        return Status.SUCCESS


def decide(reply: Reply) -> tuple[str, str]:
    """Return the action in a reply, or the safe action, and the reason."""
    if not reply.answered:
        return SAFE_ACTION, f'{reply.reason}: {reply.detail}'
    probability = reply.message.choice_probabilities[reply.choice]
    if probability < LEAST_PROBABILITY:
        return SAFE_ACTION, f'the best choice, {reply.text}, has only {probability:.0%}'
    slack_s = reply.message.bill.slack
    return ACTIONS[reply.choice], f'{probability:.0%} sure, {slack_s:.2f} s before the deadline'
