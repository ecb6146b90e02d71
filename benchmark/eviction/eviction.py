"""Measures eviction: step time, memory, break-even, and quality of the answers.

SnapKV, StreamingLLM and random eviction are compared at the same size of the cache: needles found,
and the log-likelihood and ROUGE-L of the unevicted answer.
"""

import dataclasses
import itertools
import json
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from rouge_score.rouge_scorer import RougeScorer

from benchmark.eviction.costs import PROMPT_LENGTHS, RATIOS, costs
from benchmark.eviction.evicted_answers import EvictedAnswers
from benchmark.eviction.needles import NeedlePrompt, needle_prompt
from benchmark.eviction.random_scorer import RandomScorer
from benchmark.report.bootstrap import paired_difference
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS
from benchmark.report.tables import screen_table
from timebill_ros.inference.cache import scorers
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.loaded_engine import loaded_engine
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.progress import Progress

matplotlib.use('Agg')

from matplotlib import pyplot as plt

SCORERS = {
    **{name: scorer() for name, scorer in scorers.SCORERS.items()},
    'random': RandomScorer(),
}
BASELINES = [name for name in SCORERS if name != 'snapkv']
SEED = 5000
"""Of the prompts reported; the defaults were chosen on others, see SnapKV."""
TASKS = {'needle': (1, 18, 16), 'multi_value_needle': (6, 12, 48)}
"""Values hidden, number of prompts, longest answer [tokens]."""
TASK_LENGTHS = (512, 1024, 2048)


def main() -> int:
    """Measure, report and draw; return the exit status."""
    start_s, machine = time.monotonic(), describe_machine()
    engine = loaded_engine()
    report = {
        'by_alpha': costs(engine, SEED),
        'scorers': _survival(engine),
        'settings': dataclasses.asdict(SCORERS['snapkv']),
        'seed': SEED,
        'machine': machine,
        'run_time_s': round(time.monotonic() - start_s, 1),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / 'eviction.json').write_text(json.dumps(report, indent=2) + '\n')
    _print(report)
    _draw(report, RESULTS / 'eviction.png')
    return 0


def _survival(engine: Engine) -> dict[str, Any]:
    """Return, by task, scorer and ratio, the mean of each measure with its standard error."""
    values: dict[tuple[str, str, float], list[dict[str, float]]] = {}
    prompts = list(_prompts(engine))
    rouge = RougeScorer(['rougeL'])
    with Progress(len(prompts), 'prompts') as progress:
        for task, needle, longest in prompts:
            ids = ChatPrompt(engine.target.tokenizer).token_ids(needle.prompt)
            answers = EvictedAnswers(engine, ids, longest)
            whole = answers.decode(answers.evicted(SCORERS['snapkv'], 0.0))
            for (name, scorer), ratio in itertools.product(SCORERS.items(), RATIOS):
                # Nothing evicted is the same for all.
                decoded = answers.decode(answers.evicted(scorer, ratio)) if ratio else whole
                values.setdefault((task, name, ratio), []).append(
                    {
                        'recall': needle.recall(decoded.text),
                        'log_likelihood': answers.log_likelihood(
                            answers.evicted(scorer, ratio), whole.token_ids
                        ),
                        'rouge_l': rouge.score(whole.text, decoded.text)['rougeL'].fmeasure,
                    }
                )
            progress.advance(1, task)
    result: dict[str, Any] = {}
    for (task, name, ratio), found in values.items():
        measures = {
            measure: _mean_and_error([item[measure] for item in found])
            for measure in ('recall', 'log_likelihood', 'rouge_l')
        }
        result.setdefault(task, {}).setdefault(name, {})[str(ratio)] = {
            **measures,
            'n': len(found),
        }
    for task in TASKS:
        result[task]['snapkv_minus'] = _differences(values, task)
    return result


def _prompts(engine: Engine) -> Iterable[tuple[str, NeedlePrompt, int]]:
    tokenizer = engine.target.tokenizer

    def count(text: str) -> int:
        return len(tokenizer(text)['input_ids'])

    for task, (hidden, number, longest) in TASKS.items():
        for index in range(number):
            length = TASK_LENGTHS[index % len(TASK_LENGTHS)]
            yield task, needle_prompt(SEED + index, length, count, hidden), longest


def _differences(values: Any, task: str) -> dict[str, Any]:
    """Return SnapKV less each baseline, paired by prompt, with the 95 % bootstrap interval."""
    differences: dict[str, Any] = {}
    for scorer in BASELINES:
        for ratio in RATIOS[1:]:
            for measure in ('recall', 'log_likelihood'):
                ours, theirs = (
                    [item[measure] for item in values[task, name, ratio]]
                    for name in ('snapkv', scorer)
                )
                differences.setdefault(scorer, {}).setdefault(str(ratio), {})[measure] = (
                    paired_difference(ours, theirs, SEED)
                )
    return differences


def _mean_and_error(values: list[float]) -> dict[str, float]:
    return {
        'mean': float(np.mean(values)),
        'standard_error': float(np.std(values, ddof=1) / math.sqrt(len(values))),
    }


def _print(report: dict[str, Any]) -> None:
    rows = [('alpha', 'prompt', 'step ms', 'cache MB', 'evict ms', 'break-even tokens')]
    for ratio, by_length in report['by_alpha'].items():
        for length, cost in by_length.items():
            rows.append(
                (
                    ratio,
                    length,
                    f'{cost["step_ms"]:.1f}',
                    f'{cost["kv_bytes"] / 1e6:.1f}',
                    f'{cost["eviction_ms"]:.1f}',
                    str(cost['break_even_tokens']),
                )
            )
    print(screen_table(rows))
    for task in TASKS:
        print(f'{task}: recall / log-likelihood / ROUGE-L of the unevicted answer')
        print(screen_table([('', *map(str, RATIOS)), *_scorer_rows(report['scorers'][task])]))


def _scorer_rows(found: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    measures = ('recall', 'log_likelihood', 'rouge_l')
    for scorer in SCORERS:
        by_ratio = found[scorer].values()
        yield scorer, *(' '.join(f'{by[m]["mean"]:6.2f}' for m in measures) for by in by_ratio)


def _draw(report: dict[str, Any], path: Path) -> None:
    figure, axes = plt.subplots(1, 4, figsize=(18, 4.5), layout='constrained')
    for length in PROMPT_LENGTHS:
        costs = [report['by_alpha'][str(ratio)][str(length)] for ratio in RATIOS]
        axes[0].plot(RATIOS, [cost['step_ms'] for cost in costs], 'o-', label=f'{length} tokens')
        axes[1].plot(RATIOS, [cost['kv_bytes'] / 1e6 for cost in costs], 'o-')
    axes[0].set_ylabel('decoding step [ms]')
    axes[1].set_ylabel('KV cache [MB]')
    for place, task in zip(axes[2:], TASKS, strict=True):
        for scorer in SCORERS:
            found = [report['scorers'][task][scorer][str(ratio)]['recall'] for ratio in RATIOS]
            place.errorbar(
                RATIOS,
                [value['mean'] for value in found],
                [value['standard_error'] for value in found],
                fmt='o-',
                capsize=3,
                label=scorer,
            )
        place.set_ylabel(f'{task}: recall')
        place.set_ylim(-0.05, 1.05)
    for place in axes:
        place.set_xlabel('eviction ratio')
        if place.get_legend_handles_labels()[0]:
            place.legend()
    axes[0].set_ylim(bottom=0)
    axes[1].set_ylim(bottom=0)
    figure.savefig(path, dpi=120)
    plt.close(figure)
