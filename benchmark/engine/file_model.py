"""Measures a GGUF file: ours by default, and the engines that read such files."""

from pathlib import Path
from typing import Any

import numpy as np
from gguf import LlamaFileType

from benchmark.engine.material import material
from benchmark.engine.plan import Plan, context_tokens
from benchmark.engine.reference import exact
from benchmark.engine.stage import Stage
from benchmark.engine.starts import own_starts, peer_starts
from benchmark.engine.summary import arm_summary, fidelity, ratios
from timebill_ros.inference.loading.gguf_file import GGUFFile, gguf_parts


def file_kind(path: Path) -> str:
    """Return how a file calls its quantization, 'Q4_K_M' say; else its name.

    Raises:
        ValueError: it is no GGUF file; one sentence.
    """
    try:
        kind = GGUFFile(gguf_parts(path)).value('general.file_type')
    except (OSError, ValueError) as error:
        raise ValueError(f'{str(path)!r} cannot be loaded: {error}') from error
    try:
        return LlamaFileType(kind).name.removeprefix('MOSTLY_')
    except ValueError:
        return path.stem


def measured_file(path: Path, plan: Plan, threads: int, llama_python: str) -> dict[str, Any]:
    """Return what `files` in engine.json has of a file: the figures of ours, and of all arms.

    Arguments:
        llama_python: an interpreter with llama-cpp-python; '': that of its environment.

    Raises:
        ValueError: our arm or the reference fails; one sentence.
    """
    given = material(path, plan)
    _, right = exact(str(path), threads, given, 0)
    context = context_tokens(plan.file_lengths, plan.new_tokens)
    starts = own_starts(('ours',), str(path), threads)
    starts += peer_starts(path, False, context, threads, llama_python)
    with Stage(starts) as stage:
        runs = stage.measure(plan.file_lengths, plan.new_tokens, plan.rounds, given.vocabulary)
        read = stage.read(given.texts)
        loaded = {arm.name: arm for arm in stage.arms}
        stage.need('ours')
    lengths = {
        str(n): {name: arm_summary(runs[name, n]) for name in loaded} for n in plan.file_lengths
    }
    arms = {
        name: {
            'prefill_s': {n: found[name]['prefill_s'] for n, found in lengths.items()},
            'step_ms': {n: found[name]['step_ms']['p50'] for n, found in lengths.items()},
            'rss_mb': float(np.max([found[name]['rss_mb'] for found in lengths.values()])),
            'load_s': arm.load_s,
            **fidelity(right, read[name]),
        }
        for name, arm in loaded.items()
    }
    return {
        **arms['ours'],
        'file': path.name,
        'file_mb': sum(part.stat().st_size for part in gguf_parts(path)) / 1e6,
        'arms': arms,
        'ratios': {n: ratios(found) for n, found in lengths.items()},
        'idle_share': stage.idle_share,
        'missing_arms': stage.missing,
    }
