"""Do learned lengths hold on answers that they have not seen? The built-in model's own answers.

Rules, written down before the run:

- The prompts and answers are those of unseen_lengths: the predictor of this package was not
  trained on them. The run answers what is not answered yet, for --minutes.
- Each source of prompts is an asker. Its kind is its task family: there are five.
- For each family: the askers of the four other families ask first, in random order; then those of
  the family, in random order. Only the latter count. Each length is told before its answer is
  learned from. A record's figures are means over ORDERS random orders.
- Arms: learned, from answers only; with the predictor of this package, which was trained on other
  prompts of the same sources; with a head that was trained without the family, on 85 % of the
  other families' answers (the other 15 % stop the training, and only they teach its weight). For
  comparison: each predictor alone, and nothing (every length is as likely).
- A quantile holds if the share of lengths that lie below it is within 3 points of it, over all
  families. A length is counted by parts where the quantile lies within it; an answer that was cut
  off has all lengths from there on. Quantiles: 10, 50, 90 %, before the answer and when 16, 64 and
  256 tokens are written, of the answers that are longer.
- Aim: all of them hold, with and without a head. The log score is that of the whole answer.
- Beside it, without an aim: the same if each question has another max_new_tokens, of OTHER_LIMITS
  at random; greedy answers are cut off there. Lengths are learned as shares of it. And one asker
  with the 100 answers that `make bench-planned_lengths` recorded, in ORDERS_OF_ONE random orders,
  from its first answer on.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.predictor.length_stream import (
    WRITTEN,
    AskedQuestion,
    LengthStream,
    Told,
    coverage,
)
from benchmark.predictor.recorded_lengths import recorded_lengths
from benchmark.predictor.unseen_lengths import MAX_NEW_TOKENS, SEED, collected
from benchmark.report.bootstrap import bootstrap_interval
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS
from benchmark.report.tables import screen_table
from timebill_ros.core.length_distribution import LengthDistribution
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.length import state_head
from timebill_ros.inference.length.predictor_loader import CHECKPOINTS
from timebill_ros.inference.length.state_head import StateHead
from timebill_ros.inference.loaded_engine import loaded_engine
from timebill_ros.training.head_training import HeadSettings, head_features, train_head
from timebill_ros.training.length_data import LengthData, Split, read_data
from timebill_ros.training.length_objectives import BucketObjective
from timebill_ros.training.state_file import state_shape

ORDERS, ORDERS_OF_ONE = 5, 20
OTHER_LIMITS = (64, 128, 256, 512)
QUANTILES = (0.1, 0.5, 0.9)
TOLERANCE = 0.03
LEARNED, SHIPPED, TRAINED = 'learned', 'learned and the predictor', 'learned and a new head'
ARMS: Mapping[str, tuple[bool, str]] = {
    LEARNED: (True, 'nothing'),
    SHIPPED: (True, 'shipped'),
    TRAINED: (True, 'trained'),
    'the predictor alone': (False, 'shipped'),
    'a new head alone': (False, 'trained'),
    'nothing': (False, 'nothing'),
}
"""Of each: whether it learns from answers, and what predicts beside that."""
Predicted = Sequence[LengthDistribution | None]


def main() -> int:
    """Answer, play and report; return the exit status."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument('--minutes', type=float, default=math.inf, help='answer for so long')
    chosen = options.parse_args()
    start_s, machine = time.monotonic(), describe_machine()
    engine = loaded_engine(ModelSettings())
    try:
        folder = collected(engine, time.monotonic() + 60.0 * chosen.minutes)
        data = read_data(folder, state_shape(engine.target.model))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    report = {
        **measured(data, engine),
        'max_new_tokens': MAX_NEW_TOKENS,
        'target': asdict(data.key),
        'seed': SEED,
        'machine': machine,
        'run_time_s': round(time.monotonic() - start_s, 1),
    }
    (RESULTS / 'learned_lengths.json').write_text(json.dumps(report, indent=2) + '\n')
    print(_table(report))
    return 0


def measured(data: LengthData, engine: Engine) -> dict[str, Any]:
    """Return the figures of all arms."""
    depth = int(engine.target.model.config.get_text_config().num_hidden_layers)
    shipped = [state_head.load(path)[0] for path in sorted(CHECKPOINTS.glob('*.safetensors'))]
    families = sorted({record.kind.value for record in data.records})
    told: dict[str, list[list[Told]]] = {name: [] for name in ARMS}
    other: dict[str, list[list[Told]]] = {name: [] for name in ARMS}
    for family in families:
        split = _without(data, family)
        head = train_head(data, split, depth, BucketObjective(data.response_tokens), seed=SEED)
        predicted: dict[str, Predicted] = {
            'nothing': [None] * len(data.records),
            'shipped': _distributions(shipped[0], data),
            'trained': _unseen(_distributions(head, data), split),
        }
        for name, (learns, by) in ARMS.items():
            questions = _questions(data, predicted[by])
            told[name] += _played(questions, split, learns)
            other[name] += _played(_with_other_limits(questions), split, learns)
    return {
        'arms': {name: _figures(rows) for name, rows in told.items()},
        'other_limits': {name: _figures(rows) for name, rows in other.items()},
        'recorded': _figures(_asked_by_one()),
        'aims': {name: holds(_figures(told[name])) for name in (LEARNED, SHIPPED, TRAINED)},
        'n': len(data.records),
        'askers': len({record.source for record in data.records}),
        'by_reason': {
            reason: sum(record.finish_reason == reason for record in data.records)
            for reason in ('EOS', 'LENGTH', 'REPETITION')
        },
    }


def holds(figures: Mapping[str, Any]) -> bool:
    """Return whether all quantiles of an arm are within the tolerance."""
    return all(
        abs(row['share'] - float(quantile)) <= TOLERANCE
        for rows in figures['coverage'].values()
        for quantile, row in rows['quantiles'].items()
    )


def _without(data: LengthData, family: str) -> Split:
    """Return a split whose test records are a family's, and which trains on all others."""
    is_of_it = np.array([record.kind.value == family for record in data.records])
    others = np.random.default_rng(SEED).permutation(np.flatnonzero(~is_of_it))
    kept = round(0.85 * len(others))
    return Split(others[:kept], others[kept:], np.flatnonzero(is_of_it))


def _distributions(head: StateHead, data: LengthData) -> Predicted:
    with torch.inference_mode():
        logits = head.logits(head_features(head, data, HeadSettings()))
    rows: NDArray[np.float64] = logits.double().softmax(-1).mean(0).numpy()
    return [LengthDistribution(row) for row in rows]


def _unseen(predicted: Predicted, split: Split) -> Predicted:
    """Leave out what a head says of the records that it was trained on."""
    seen = set(split.train.tolist())
    return [None if row in seen else known for row, known in enumerate(predicted)]


def _questions(data: LengthData, predicted: Predicted) -> list[AskedQuestion]:
    return [
        AskedQuestion(
            record.source,
            record.response_tokens,
            MAX_NEW_TOKENS,
            record.finish_reason != 'LENGTH',
            known,
        )
        for record, known in zip(data.records, predicted, strict=True)
    ]


def _with_other_limits(questions: Sequence[AskedQuestion]) -> list[AskedQuestion]:
    chance = Random(SEED)
    return [question.shortened(chance.choice(OTHER_LIMITS)) for question in questions]


def _played(questions: Sequence[AskedQuestion], split: Split, learns: bool) -> list[list[Told]]:
    """Return what was told of each test record, in each order."""
    before = np.concatenate([split.train, split.validation])
    told: dict[int, list[Told]] = {int(row): [] for row in split.test}
    for order in range(ORDERS):
        chance = np.random.default_rng((SEED, order))
        stream = LengthStream(learns)
        for row in chance.permutation(before):
            stream.ask(questions[row])
        for row in chance.permutation(split.test):
            told[int(row)].append(stream.ask(questions[row]))
    return list(told.values())


def _asked_by_one() -> list[list[Told]]:
    """Return what is told of recorded answers if one asker has all of them."""
    questions = recorded_lengths()
    told: list[list[Told]] = [[] for _ in questions]
    for order in range(ORDERS_OF_ONE):
        stream = LengthStream(learns=True)
        for row in np.random.default_rng((SEED, order)).permutation(len(questions)):
            told[row].append(stream.ask(questions[row]))
    return told


def _figures(rows: Sequence[Sequence[Told]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for written in WRITTEN:
        longer = [row for row in rows if written in row[0].places]
        quantiles = {}
        for share in QUANTILES if longer else ():
            below = np.mean(
                [coverage([one.places[written] for one in row], share) for row in longer], axis=1
            )
            interval = bootstrap_interval(np.mean, (below,), SEED)
            quantiles[str(share)] = {'share': float(below.mean()), 'interval': interval}
        found[str(written)] = {'quantiles': quantiles, 'n': len(longer)}
    nats = float(np.mean([[one.nats for one in row] for row in rows]))
    return {'coverage': found, 'log_score_nats': nats}


def _table(report: Mapping[str, Any]) -> str:
    titles = [f'{100 * share:.0f} %' for share in QUANTILES]
    parts = []
    for title, arms in (
        (f'max_new_tokens {MAX_NEW_TOKENS}', report['arms']),
        ('recorded, one asker', {LEARNED: report['recorded']}),
        ('max_new_tokens at random', report['other_limits']),
    ):
        rows: list[tuple[str, ...]] = [(title, 'written', *titles, 'n', 'log score')]
        for name, figures in arms.items():
            for written, row in figures['coverage'].items():
                shares = [f'{100 * found["share"]:.1f}' for found in row['quantiles'].values()]
                score = f'{figures["log_score_nats"]:.3f}' if written == '0' else ''
                rows.append((name, written, *shares, str(row['n']), score))
        parts.append(screen_table(rows))
    parts.append(f'aims: {report["aims"]}; {report["n"]} answers of {report["askers"]} askers')
    return '\n\n'.join(parts)


if __name__ == '__main__':
    sys.exit(main())
