"""Urgent and patient queries about two standing contexts, at random times."""

import random
from dataclasses import dataclass

from benchmark.deadlines.asker import Ask
from benchmark.deadlines.load.arrivals import poisson

OVERHEAD_S = 0.03
_EVENT = "At {time} o'clock the robot saw a pallet in aisle {aisle}."
_LINE = 'Aisle {aisle} leads from dock {dock} to shelf {shelf}, and is {width} metres wide.'
_LINES = 24


@dataclass(frozen=True)
class Kind:
    """A kind of query.

    Arguments:
        share: of all queries.
        events: lines of its prompt.
        budgets: least and largest time budget, as multiples of its own time.
    """

    name: str
    share: float
    events: int
    task: str
    max_new_tokens: int
    budgets: tuple[float, float]

    def ask(self, query_id: str, budget_s: float, draw: random.Random, at_s: float = 0.0) -> Ask:
        """Return a query about one of the contexts; its length is always about the same."""
        events = [
            _EVENT.format(time=draw.randrange(10, 24), aisle=draw.randrange(10, 99))
            for _ in range(self.events)
        ]
        return Ask(
            query_id,
            self.name,
            ' '.join([*events, self.task]),
            budget_s,
            self.max_new_tokens,
            at_s=at_s,
            context=draw.choice(CONTEXTS),
            asker=self.name,
        )


KINDS = (
    Kind('urgent', 2 / 3, 2, 'Is it safe to go on?', 8, (1.5, 3.0)),
    Kind('patient', 1 / 3, 14, 'Write a long report for the operator.', 48, (4.0, 10.0)),
)


def context(seed: int) -> str:
    """Return a description of a hall, of about 500 tokens; other seeds share no beginning."""
    draw = random.Random(seed)
    lines = [
        _LINE.format(
            aisle=draw.randrange(10, 99),
            dock=draw.randrange(10, 99),
            shelf=draw.randrange(10, 99),
            width=draw.randrange(2, 9),
        )
        for _ in range(_LINES)
    ]
    return '\n'.join([f'Hall {seed}:', *lines])


CONTEXTS = (context(1), context(2))


def block(size: int, load: float, own_s: dict[str, float], draw: random.Random) -> list[Ask]:
    """Return queries of both kinds in their shares, mixed, as Poisson arrivals.

    Arguments:
        load: multiple of the capacity for this mixture.
        own_s: how long a query of each kind takes by itself [s].
    """
    kinds = [kind for kind in KINDS for _ in range(round(kind.share * size))]
    draw.shuffle(kinds)
    mean_s = sum(own_s[kind.name] for kind in kinds) / len(kinds)
    asks = []
    for place, (kind, at_s) in enumerate(
        zip(kinds, poisson(len(kinds), load / mean_s, draw), strict=True)
    ):
        budget_s = draw.uniform(*kind.budgets) * own_s[kind.name] + OVERHEAD_S
        asks.append(kind.ask(str(place), budget_s, draw, at_s))
    return asks
