"""The plan of the load: each arm gets the same queries at the same times."""

import random
from dataclasses import dataclass

from benchmark.deadlines.load.arrivals import PATTERNS

STRATEGIES = ('KILL', 'SKIP_NEXT', 'PARTIAL')
LOADS = (1.0, 2.0, 5.0, 10.0)
"""Mean rate of arrivals, as a multiple of the capacity."""
_BUDGETS = (1.2, 5.0)
"""Least and largest time budget, as multiples of the query's own service time."""
_OVERHEAD_S = 0.03
"""Added to each budget: the reserve for publishing, and transport."""


@dataclass(frozen=True)
class Arm:
    """How the node is set: the parameters queue_order, admission and keep_latest.

    Nothing turns admission off altogether: also by 'alone', what can no longer be met by itself is
    refused; but only once it has waited until then.
    """

    name: str
    queue_order: str
    admission: str
    keep_latest: bool = False


ARMS = (
    Arm('edf', 'edf', 'backlog'),
    Arm('fifo', 'fifo', 'backlog'),
    Arm('keep_latest', 'fifo', 'backlog', keep_latest=True),
    Arm('no_admission', 'edf', 'alone'),
)


@dataclass(frozen=True)
class Arrival:
    """A query of a block.

    Arguments:
        at_s: since the block's start [s].
        question: its place among the questions.
        service_s: how long the question takes by itself [s].
        budget_s: its time budget [s].
    """

    at_s: float
    question: int
    service_s: float
    budget_s: float


@dataclass(frozen=True)
class Block:
    """A stretch of queries that each arm is asked once, one arm after the other.

    Arguments:
        load: mean rate of arrivals, as a multiple of the capacity.
        pattern: how they arrive, a key of PATTERNS.
        strategy: the overrun policy.
        duration_s: what the number of arrivals takes at the mean rate [s].
    """

    number: int
    load: float
    pattern: str
    strategy: str
    arrivals: tuple[Arrival, ...]
    duration_s: float


def plan_load(seed: int, service_s: list[float], block_size: int) -> list[Block]:
    """Return one block for each load, pattern and strategy, in random order.

    Arguments:
        service_s: how long each question takes by itself [s]; its mean makes the capacity.
        block_size: queries in a block.
    """
    capacity = len(service_s) / sum(service_s)
    kinds = [
        (load, pattern, strategy)
        for load in LOADS
        for pattern in PATTERNS
        for strategy in STRATEGIES
    ]
    random.Random(seed).shuffle(kinds)
    blocks = []
    for number, (load, pattern, strategy) in enumerate(kinds):
        draw = random.Random(f'{seed}-{number}')
        rate = load * capacity
        arrivals = tuple(
            _arrival(at_s, service_s, draw) for at_s in PATTERNS[pattern](block_size, rate, draw)
        )
        blocks.append(Block(number, load, pattern, strategy, arrivals, block_size / rate))
    return blocks


def arms_of(block: Block) -> list[Arm]:
    """Return the arms in the order of their turns, which rotates from block to block."""
    first = block.number % len(ARMS)
    return [*ARMS[first:], *ARMS[:first]]


def _arrival(at_s: float, service_s: list[float], draw: random.Random) -> Arrival:
    question = draw.randrange(len(service_s))
    factor = draw.uniform(*_BUDGETS)
    own_s = service_s[question]
    return Arrival(at_s, question, own_s, factor * own_s + _OVERHEAD_S)
