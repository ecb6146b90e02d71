"""The queries of the deadline benchmark: they end in every possible way; drawn from a seed."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmark.deadlines.asker import Ask

_SHORT_QUESTIONS = (
    'The gripper is closed and the cup is on the table. What is the next action?',
    'Battery at 12 percent, the dock is 40 metres away. Go on or dock?',
    'A person stands in the doorway. Say in a few words what to do.',
    'Which of these is a fruit: a hammer, an apple, a bolt?',
    'The door to the kitchen is locked. Name another way to find a cup.',
)
_LONG_QUESTION = 'Write the whole plan, step by step, with a reason for every step.'
_LOG_WORDS = (
    'shelf',
    'aisle',
    'pallet',
    'scanned',
    'empty',
    'waiting',
    'moved',
    'forklift',
    'charged',
    'blocked',
    'turned',
    'box',
)
BURST_SIZES = (5, 10, 20, 40)
LARGEST_BURST = 1000


@dataclass(frozen=True)
class Batch:
    """Queries that are published at once.

    Arguments:
        wait: whether the next batch waits for the replies to this one.
        pause_s: time until the next batch, beyond that [s].
    """

    asks: list[Ask]
    wait: bool = True
    pause_s: float = 0.0


@dataclass(frozen=True)
class Section:
    """A part of the benchmark that is run as a whole; all its replies are awaited at its end."""

    name: str
    batches: list[Batch]

    def size(self) -> int:
        """Return the number of queries."""
        return sum(len(batch.asks) for batch in self.batches)


class QueryMix:
    """Draws queries.

    Arguments:
        seed: the same seed, the same queries.
        prefix: of the queries' ids.
    """

    def __init__(self, seed: int, prefix: str) -> None:
        self._random = random.Random(seed)
        self._prefix, self._count = prefix, 0

    def sections(self) -> list[Section]:
        """Return all that is asked."""
        return [
            self._one_by_one(),
            *(self._full_queue() for _ in range(2)),
            self._bursts(),
            self._one_by_one(),
            *(self._full_queue() for _ in range(2)),
            self._bursts(),
            Section(f'{LARGEST_BURST} at once', [self._burst(LARGEST_BURST)]),
        ]

    def _one_by_one(self) -> Section:
        """Return queries of every kind, each asked when the one before has its reply."""
        asks = [
            *self._draw(16, self._answerable),
            *self._draw(25, self._hopeless),
            *self._draw(15, self._expired),
            *self._draw(15, self._invalid),
            *self._draw(3, self._too_many_tokens),
        ]
        self._random.shuffle(asks)
        return Section('one by one', [Batch([ask]) for ask in asks])

    def _full_queue(self) -> Section:
        """Return refusals, each asked by itself, while one query runs and the queue is full."""
        probes = [
            *self._draw(20, self._answerable),
            *self._draw(20, self._expired),
            *self._draw(20, self._invalid),
        ]
        self._random.shuffle(probes)
        # The second batch takes the place of the query that has left the queue to run.
        return Section(
            'full queue',
            [
                Batch(self._draw(20, self._filler), wait=False, pause_s=0.5),
                Batch(self._draw(4, self._filler), wait=False, pause_s=0.1),
                *(Batch([probe]) for probe in probes),
            ],
        )

    def _bursts(self) -> Section:
        return Section('bursts', [self._burst(size) for size in BURST_SIZES])

    def _burst(self, size: int) -> Batch:
        kinds = (self._answerable, self._hopeless, self._expired, self._invalid)
        return Batch([self._random.choices(kinds, (3, 5, 1, 1))[0]() for _ in range(size)])

    def _draw(self, count: int, kind: Callable[[], Ask]) -> list[Ask]:
        return [kind() for _ in range(count)]

    def _filler(self) -> Ask:
        """A long answer that blocks the way for some seconds."""
        return self._ask('filler', _LONG_QUESTION, self._random.uniform(4.0, 5.0), 1000)

    def _answerable(self) -> Ask:
        """A short answer, with time enough for it on an idle machine."""
        prompt = self._random.choice(_SHORT_QUESTIONS)
        budget_s = self._random.uniform(2.0, 3.5)
        return self._ask('answerable', prompt, budget_s, self._random.randint(2, 8))

    def _hopeless(self) -> Ask:
        """A long answer, to a short or a long prompt, without the time for it."""
        prompt = self._log(self._random.choice((0, 0, 50, 500, 3000))) + _LONG_QUESTION
        return self._ask('hopeless', prompt, self._random.uniform(0.1, 1.2), 1000)

    def _expired(self) -> Ask:
        """A budget that is negative, below the reserve, or used up when the query is sent."""
        budget_s, age_s = self._random.choice(((-1.0, 0.0), (0.01, 0.0), (1.0, 2.0)))
        return self._ask('expired', _SHORT_QUESTIONS[0], budget_s, 16, age_s=age_s)

    def _invalid(self) -> Ask:
        """A prompt that is empty or too large, a policy that is none, a budget above the bound."""
        prompt, budget_s, policy = self._random.choice(
            (
                ('', 2.0, 0),
                (self._log(50000), 2.0, 0),
                (_SHORT_QUESTIONS[0], 2.0, 99),
                (_SHORT_QUESTIONS[0], 1e6, 0),
            )
        )
        return self._ask('invalid', prompt, budget_s, 16, overrun_policy=policy)

    def _too_many_tokens(self) -> Ask:
        """A prompt that is longer than the model's context, which only the tokenizer can tell."""
        return self._ask('too many tokens', self._log(10000), 4.0, 16)

    def _log(self, words: int) -> str:
        return ''.join(f'{self._random.choice(_LOG_WORDS)} ' for _ in range(words))

    def _ask(self, group: str, prompt: str, budget_s: float, tokens: int, **more: Any) -> Ask:
        self._count += 1
        return Ask(f'{self._prefix}-{self._count:05}', group, prompt, budget_s, tokens, **more)
