"""Measures all arms with the built-in model."""

from typing import Any

import numpy as np

from benchmark.engine.agreement import compare, ended
from benchmark.engine.material import material
from benchmark.engine.plan import Plan, context_tokens
from benchmark.engine.reference import REFERENCE, exact
from benchmark.engine.stage import Runs, Stage
from benchmark.engine.starts import own_starts, peer_starts
from benchmark.engine.summary import (
    OURS,
    arm_summary,
    fastest_peers,
    fidelity,
    ratios,
    short_answer_ratio,
)
from timebill_ros.inference.loading.model_source import BUILT_IN, locate

SHORT_ANSWER = (512, 64)
KV_BYTES_PER_TOKEN = 30 * 2 * 3 * 64 * 2
"""Of the built-in model, in bf16."""


def measured_built_in(
    plan: Plan, threads: int, llama_python: str, bandwidth_gb_s: float
) -> dict[str, Any]:
    """Return the part of engine.json that is about the built-in model.

    Arguments:
        llama_python: an interpreter with llama-cpp-python; '': that of its environment.
        bandwidth_gb_s: how fast the memory is read.

    Raises:
        ValueError: our arm or the reference fails; one sentence.
    """
    gguf = locate(BUILT_IN)
    given = material(gguf, plan)
    expected, right = exact(BUILT_IN, threads, given, plan.answer_tokens)
    context = context_tokens(plan.lengths, plan.new_tokens)
    starts = own_starts((*OURS, 'transformers'), BUILT_IN, threads)
    starts += peer_starts(gguf, True, context, threads, llama_python)
    with Stage(starts) as stage:
        runs = stage.measure(plan.lengths, plan.new_tokens, plan.rounds)
        answers = stage.answers(given.prompts, plan.answer_tokens)
        read = stage.read(given.texts)
        loaded = {arm.name: arm for arm in stage.arms}
        stage.need('ours')
    lengths = {str(n): {name: arm_summary(runs[name, n]) for name in loaded} for n in plan.lengths}
    arms = {
        name: {
            'load_s': arm.load_s,
            'weight_mb': arm.described['weight_bytes'] / 1e6,
            'rss_mb': max(found[name]['rss_mb'] for found in lengths.values()),
            **fidelity(right, read[name]),
        }
        for name, arm in loaded.items()
    }
    ours_bytes = loaded['ours'].described['weight_bytes']
    step_bytes = {str(n): ours_bytes + KV_BYTES_PER_TOKEN * n for n in plan.lengths}
    return {
        'lengths': lengths,
        'ratios': {n: ratios(found) for n, found in lengths.items()},
        'fastest_peers': {n: fastest_peers(found) for n, found in lengths.items()},
        'short_answer_ratio': _short_answer(runs, list(loaded)),
        'arms': arms,
        'agreement': {
            name: compare(
                [ended(answer, given.stop_ids) for answer in expected],
                [ended(answer, given.stop_ids) for answer in answers[name]],
            )
            for name in loaded
        },
        'reference': REFERENCE,
        'rss_mb': arms['ours']['rss_mb'],
        'file_mb': gguf.stat().st_size / 1e6,
        'bandwidth_gb_s': bandwidth_gb_s,
        'step_bytes': step_bytes,
        'bandwidth_limit_ms': {n: count / bandwidth_gb_s / 1e6 for n, count in step_bytes.items()},
        'longest_unchecked_ms': max(
            1000 * run['unchecked_s'] for n in plan.lengths for run in runs['ours', n]
        ),
        'idle_share': stage.idle_share,
        'missing_arms': stage.missing,
    }


def _short_answer(runs: Runs, names: list[str]) -> float | None:
    length, tokens = SHORT_ANSWER
    if any(len(run['known_s']) < tokens for run in runs['ours', length]):
        return None
    return short_answer_ratio(
        {
            name: float(np.median([run['known_s'][tokens - 1] for run in runs[name, length]]))
            for name in names
        }
    )
