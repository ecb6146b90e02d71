"""From runs to figures: medians, ratios to the other engines, and the aims."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

OURS = ('ours', 'ours_int8', 'ours_none')
PREFILL_AIM = 1.0
"""Times the fastest other engine's."""
STEP_AIM = 0.7
FILE_STEP_AIM = 0.9
"""Times ik_llama.cpp's."""
COPYING_AIM, FREE_TEXT_AIM = 1.5, 1.03
BANDWIDTH_AIM, BANDWIDTH_FROM = 1.3, 2048
MEMORY_AIM = (1.3, 400.0)
"""Times the file, and so many MB more."""


def arm_summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the figures of one arm at one length."""
    first_s = [run['known_s'][0] for run in runs]
    steps_ms = 1000 * np.concatenate([np.diff(run['known_s']) for run in runs])
    return {
        'prefill_s': float(np.median(first_s)),
        'prefill_s_runs': first_s,
        'step_ms': {
            'p50': float(np.percentile(steps_ms, 50)),
            'p99': float(np.percentile(steps_ms, 99)),
            'max': float(steps_ms.max()),
            'n': len(steps_ms),
        },
        'tokens_per_s': float(1000 / steps_ms.mean()),
        'rss_mb': max(run['rss_mb'] for run in runs),
    }


def ratios(arms: Mapping[str, Any]) -> dict[str, float]:
    """Return what ours takes at one length, in times of the others; the fastest first."""
    others = [name for name in arms if name not in OURS]
    if not others:
        return {}
    found = {}
    for what, figure in (('step', _step_ms), ('prefill', _prefill_s)):
        ours, theirs = figure(arms['ours']), {name: figure(arms[name]) for name in others}
        found[f'{what}_vs_fastest_peer'] = ours / min(theirs.values())
        found |= {f'{what}_vs_{name}': ours / value for name, value in theirs.items()}
    return found


def fastest_peers(arms: Mapping[str, Any]) -> dict[str, str]:
    """Return which other engine is the fastest at one length."""
    others = [name for name in arms if name not in OURS]
    found = {}
    for what, figure in (('step', _step_ms), ('prefill', _prefill_s)):
        if theirs := {name: figure(arms[name]) for name in others}:
            found[what] = min(theirs, key=theirs.__getitem__)
    return found


def _step_ms(arm: Mapping[str, Any]) -> float:
    return float(arm['step_ms']['p50'])


def _prefill_s(arm: Mapping[str, Any]) -> float:
    return float(arm['prefill_s'])


def short_answer_ratio(totals_s: Mapping[str, float]) -> float | None:
    """Return ours in times of the fastest other; None: there is no other."""
    others = [total_s for name, total_s in totals_s.items() if name not in OURS]
    return totals_s['ours'] / min(others) if others else None


def fidelity(
    reference: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Compare what an arm finds of some texts with what fp32 does.

    Returns:
        log_likelihood_loss: of a token [nats]; top_token: how often the likeliest is the same.
    """
    places = [
        (right, top)
        for a, b in zip(reference, found, strict=True)
        for right, top in zip(a['top'], b['top'], strict=True)
    ]
    weights = [len(text['top']) for text in reference]
    expected, reached = (
        float(np.average([text['log_likelihood'] for text in texts], weights=weights))
        for texts in (reference, found)
    )
    return {
        'log_likelihood_loss': expected - reached,
        'top_token': {'identical': sum(a == b for a, b in places), 'n': len(places)},
    }


def memory_bound_mb(file_mb: float) -> float:
    """Return how much memory an engine with this file may take."""
    factor, fixed_mb = MEMORY_AIM
    return factor * file_mb + fixed_mb


def aims(result: Mapping[str, Any], peers: Iterable[str]) -> dict[str, bool]:
    """Return which aims are reached. One that this run cannot tell is left out.

    Arguments:
        result: the content of engine.json.
        peers: all of them must have run at every length to tell which is the fastest.
    """
    lengths, found = result['lengths'], {}
    if all(peer in arms for arms in lengths.values() for peer in peers):
        by_length = result['ratios'].values()
        for what, most in (('prefill', PREFILL_AIM), ('step', STEP_AIM)):
            name = f'{what}_vs_fastest_peer'
            found[name] = all(row[name] <= most for row in by_length)
    limits = [
        lengths[n]['ours']['step_ms']['p50'] <= BANDWIDTH_AIM * limit_ms
        for n, limit_ms in result['bandwidth_limit_ms'].items()
        if int(n) >= BANDWIDTH_FROM
    ]
    if limits:
        found['step_vs_bandwidth'] = all(limits)
    found['memory'] = result['rss_mb'] <= memory_bound_mb(result['file_mb'])
    for kind, row in result['files'].items():
        found[f'memory_{kind}'] = row['rss_mb'] <= memory_bound_mb(row['file_mb'])
        for what, most in (('prefill', PREFILL_AIM), ('step', FILE_STEP_AIM)):
            name = f'{what}_vs_ik_llama_cpp'
            if row['ratios'] and all(name in ratio for ratio in row['ratios'].values()):
                reached = all(ratio[name] <= most for ratio in row['ratios'].values())
                found[f'{name}_{kind}'] = reached
    if (speculation := result['speculation']) is not None:
        found['speculation_copying'] = speculation['copying']['speedup'] >= COPYING_AIM
        found['speculation_free_text'] = speculation['free_text']['slowest'] <= FREE_TEXT_AIM
    return found
