"""Runs the overload: the same queries for each arm, block by block, on one node."""

import statistics
from dataclasses import dataclass, field

from benchmark.deadlines.asker import Ask, Asker, Record
from benchmark.deadlines.load.plan import ARMS, Arm, Block, arms_of, plan_load
from benchmark.deadlines.load.questions import AskedQuestion, load_questions
from benchmark.deadlines.load.result import LoadResult
from timebill_ros.progress import Progress

BLOCK_SIZE = 25
_ROUNDS = 3
_GENEROUS_S = 20.0
_SETTINGS = {
    'queue_order': 'fifo',
    'admission': 'backlog',
    'keep_latest': False,
    'overrun_policy': 'kill',
}
"""The node's defaults, which hold before and after."""


@dataclass
class LoadedRun:
    """What was asked under load.

    Arguments:
        service_s: how long each question takes by itself, from sending to the reply [s].
        blocks: as they were asked.
    """

    service_s: list[float]
    blocks: list[Block] = field(default_factory=list)

    @property
    def capacity_per_s(self) -> float:
        """Questions that can be answered in a second, one after the other [1/s]."""
        return len(self.service_s) / sum(self.service_s)

    def results(self, records: list[Record]) -> list[LoadResult]:
        """Return what became of the queries."""
        by_id = {record.id: record for record in records}
        return [
            LoadResult(arm, block, place, by_id[_id(arm, block, place)])
            for block in self.blocks
            for arm in ARMS
            for place in range(len(block.arrivals))
        ]


def run_load(asker: Asker, seed: int, block_size: int = BLOCK_SIZE) -> LoadedRun:
    """Measure the capacity, then ask all blocks of all arms.

    Arguments:
        asker: of a node that serves, and has nothing to do.
        block_size: queries in a block.
    """
    questions = load_questions(seed)
    load = LoadedRun(_measure_service(asker, questions))
    load.blocks = plan_load(seed, load.service_s, block_size)
    total = sum(len(block.arrivals) for block in load.blocks) * len(ARMS)
    with Progress(total, 'queries under load') as progress:
        for block in load.blocks:
            for arm in arms_of(block):
                _ask_block(asker, block, arm, questions)
                progress.advance(len(block.arrivals), f'{block.load:g} x capacity, {arm.name}')
    asker.set_parameters(_SETTINGS)
    return load


def _measure_service(asker: Asker, questions: list[AskedQuestion]) -> list[float]:
    """Return how long each question takes: the median of some rounds, one at a time [s]."""
    times: list[list[float]] = [[] for _ in questions]
    for turn in range(_ROUNDS):
        for number, question in enumerate(questions):
            ask = Ask(
                f'service-{turn}-{number}',
                'service',
                question.prompt,
                _GENEROUS_S,
                question.max_new_tokens,
            )
            times[number].append(asker.time(ask))
    return [statistics.median(of_question) for of_question in times]


def _ask_block(asker: Asker, block: Block, arm: Arm, questions: list[AskedQuestion]) -> None:
    asker.set_parameters(
        {
            'queue_order': arm.queue_order,
            'admission': arm.admission,
            'keep_latest': arm.keep_latest,
            'overrun_policy': block.strategy.lower(),
        }
    )
    asks = [
        Ask(
            _id(arm, block, place),
            block.strategy,
            questions[arrival.question].prompt,
            arrival.budget_s,
            questions[arrival.question].max_new_tokens,
            at_s=arrival.at_s,
        )
        for place, arrival in enumerate(block.arrivals)
    ]
    asker.ask(asks)


def _id(arm: Arm, block: Block, place: int) -> str:
    return f'load-{block.number}-{arm.name}-{place}'
