"""Chooses a scorer on one seed, and compares it with SnapKV on another.

The rule was written down before the run.

- A figure is the mean log-likelihood a token of the right answer's first ANSWER_TOKENS tokens,
  after an eviction: the hidden values in the order of the prompt, ', ' between codes and names, a
  line each of copied lists. Nothing is decoded for it, so it is cheap and varies little.
- Development (DEVELOPMENT): the arm of the highest mean over items and ratios wins. If an arm with
  the output projection wins, it must be above the best one without it by more than the interval
  of the difference; else that one wins, because it costs less. All arms have SnapKV's settings.
- Report (REPORT): the winner less SnapKV, paired by item, at each ratio. It becomes the default
  only if the interval of the log-likelihood lies above 0 at two ratios, the mean is not below 0
  at any, and the interval of the score (the share of values in the real answer, of the first
  DECODED items of each task) lies wholly below 0 at none.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmark.budgets.tasks import TASKS, task_items
from benchmark.budgets.tasks.scores import share_found
from benchmark.budgets.tasks.task import Item
from benchmark.eviction.contenders import Make, contenders
from benchmark.eviction.evicted_answers import EvictedAnswers
from benchmark.eviction.evicted_together import EvictedTogether
from benchmark.report.bootstrap import paired_difference
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS
from benchmark.report.tables import screen_table
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.loaded_engine import loaded_engine
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.progress import Progress

RATIOS = (0.25, 0.5, 0.75, 0.95)
ANSWER_TOKENS = 40
DECODED = 4
CANDIDATES = [task for task in TASKS if task.is_candidate]


@dataclass(frozen=True)
class Split:
    """Items of one seed.

    Arguments:
        items: of each of the four tasks.
    """

    seed: int
    items: int


DEVELOPMENT, REPORT = Split(seed=2100, items=12), Split(seed=7100, items=12)
Found = dict[str, list[list[float]]]
"""By arm: for each item, a value a ratio."""


def main() -> int:
    """Choose, report, print; return the exit status."""
    engine = loaded_engine()
    arms = contenders(engine)
    items = _items(engine, DEVELOPMENT)
    found = _log_likelihoods(engine, arms, items)
    development = {
        name: {
            'log_likelihood': float(np.mean(values)),
            'by_ratio': dict(zip(map(str, RATIOS), np.mean(values, axis=0).tolist(), strict=True)),
            'minus_snapkv': paired_difference(
                np.mean(values, axis=1).tolist(),
                np.mean(found['snapkv'], axis=1).tolist(),
                DEVELOPMENT.seed,
            ),
        }
        for name, values in found.items()
    }
    print(f'development, {len(items)} items')
    print(screen_table(_development_rows(development)))
    winner = _winner(found)
    print(f'chosen: {winner}')
    report: dict[str, Any] = {
        'development': {
            'arms': development,
            'n': len(items),
            'seed': DEVELOPMENT.seed,
        },
        'chosen': winner,
        'machine': describe_machine(),
    }
    if winner != 'snapkv':
        report['report'] = _report(engine, {name: arms[name] for name in ('snapkv', winner)})
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / 'eviction_scorers.json').write_text(json.dumps(report, indent=2) + '\n')
    return 0


def _winner(found: Found) -> str:
    means = {name: float(np.mean(values)) for name, values in found.items()}
    best = max(means, key=lambda name: means[name])
    if 'projected' not in best:
        return best
    cheap = max((name for name in means if 'projected' not in name), key=lambda n: means[n])
    ours, theirs = (np.mean(found[name], axis=1).tolist() for name in (best, cheap))
    return best if paired_difference(ours, theirs, DEVELOPMENT.seed)['interval'][0] > 0 else cheap


def _log_likelihoods(engine: Engine, arms: dict[str, Make], items: Sequence[Item]) -> Found:
    """Return the log-likelihoods of the right answers."""
    found: Found = {name: [] for name in arms}
    with Progress(len(items), 'items') as progress:
        for item in items:
            token_ids, right = _tokens(engine, item)
            answers = EvictedTogether(engine, token_ids, list(arms.values()))
            by_ratio = answers.log_likelihoods(right, RATIOS)
            for name, values in zip(arms, zip(*by_ratio, strict=True), strict=True):
                found[name].append(list(values))
            progress.advance(1, item.task)
    return found


def _scores(engine: Engine, arms: dict[str, Make], items: Sequence[Item]) -> Found:
    """Return the scores of real answers."""
    found: Found = {name: [] for name in arms}
    with Progress(len(items), 'items') as progress:
        for item in items:
            token_ids, _ = _tokens(engine, item)
            answers = EvictedAnswers(engine, token_ids, item.max_new_tokens)
            for name, make in arms.items():
                texts = [
                    answers.decode(
                        answers.evicted(make(token_ids, int((1 - ratio) * len(token_ids))), ratio)
                    ).text
                    for ratio in RATIOS
                ]
                found[name].append([item.score(text) for text in texts])
            progress.advance(1, item.task)
    return found


def _report(engine: Engine, arms: dict[str, Make]) -> dict[str, Any]:
    """Return log-likelihoods and scores of two arms, and the second's less the first's."""
    items = _items(engine, REPORT)
    decoded = [item for place, item in enumerate(items) if place % REPORT.items < DECODED]
    measures = {
        'log_likelihood': (items, _log_likelihoods(engine, arms, items)),
        'score': (decoded, _scores(engine, arms, decoded)),
    }
    snapkv, winner = arms
    result: dict[str, Any] = {'n': len(items), 'decoded': len(decoded), 'seed': REPORT.seed}
    for measure, (of_items, found) in measures.items():
        places = {'all': list(range(len(of_items)))}
        for task in CANDIDATES:
            places[task.name] = [i for i, item in enumerate(of_items) if item.task == task.name]
        result[measure] = {
            label: _compared(found, snapkv, winner, chosen) for label, chosen in places.items()
        }
    print(f'report, {len(items)} items: {winner} less {snapkv}')
    print(screen_table(_report_rows(result, snapkv, winner)))
    return result


def _compared(found: Found, snapkv: str, winner: str, chosen: Sequence[int]) -> dict[str, Any]:
    result = {}
    for place, ratio in enumerate(RATIOS):
        theirs, ours = ([found[name][item][place] for item in chosen] for name in (snapkv, winner))
        result[str(ratio)] = {
            snapkv: float(np.mean(theirs)),
            winner: float(np.mean(ours)),
            'difference': paired_difference(ours, theirs, REPORT.seed),
        }
    return result


def _items(engine: Engine, split: Split) -> list[Item]:
    tokenizer = engine.target.tokenizer

    def count(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)['input_ids'])

    return [
        item
        for task in CANDIDATES
        for item in task_items(task, split.items, split.seed, {}, count)
    ]


def _tokens(engine: Engine, item: Item) -> tuple[list[int], list[int]]:
    """Return an item's prompt, and how its right answer begins."""
    tokenizer = engine.target.tokenizer
    right = tokenizer(right_answer(item), add_special_tokens=False)['input_ids']
    return ChatPrompt(tokenizer).token_ids(item.prompt), right[:ANSWER_TOKENS]


def right_answer(item: Item) -> str:
    """Return the values that a task of hidden_lists asks for, in the order of the prompt."""
    assert isinstance(item.score, partial) and item.score.func is share_found
    values: list[str] = item.score.args[0]
    if item.task in ('codes', 'names'):
        return ', '.join(sorted(values, key=item.prompt.index))
    return '\n'.join(values)


def _development_rows(development: dict[str, Any]) -> list[tuple[str, ...]]:
    rows = [('arm', 'mean', *map(str, RATIOS), 'less SnapKV', 'interval')]
    for name, arm in sorted(development.items(), key=lambda pair: -pair[1]['log_likelihood']):
        difference = arm['minus_snapkv']
        rows.append(
            (
                name,
                f'{arm["log_likelihood"]:.3f}',
                *(f'{value:.3f}' for value in arm['by_ratio'].values()),
                f'{difference["mean"]:+.3f}',
                '{:+.3f} {:+.3f}'.format(*difference['interval']),
            )
        )
    return rows


def _report_rows(result: dict[str, Any], snapkv: str, winner: str) -> list[tuple[str, ...]]:
    rows = [('', *map(str, RATIOS))]
    for measure in ('log_likelihood', 'score'):
        for label, by_ratio in result[measure].items():
            cells = (
                '{:.3f} {:.3f} {:+.3f} [{:+.3f} {:+.3f}]'.format(
                    found[snapkv],
                    found[winner],
                    found['difference']['mean'],
                    *found['difference']['interval'],
                )
                for found in by_ratio.values()
            )
            rows.append((f'{label} {measure}', *cells))
    return rows
