"""What the node says of itself on /diagnostics: three statuses by REP-107, names and keys stable.

- `<node>: inference`: the process that runs the model. ERROR: it failed, or died and waits to be
  started again; WARN: queries are not served, for another reason.
- `<node>: deadlines`: how the last 100 queries ended; OK again after a minute without a query. The
  keys of processing times are Autoware's. Which misses count: query_statistics.NODE_MISSES.
- `<node>: estimate`: how well the predicted times hold. WARN: the machine has changed.
"""

import math
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from timebill_ros.dispatch.query_statistics import QuerySummary
from timebill_ros.worker.protocol import Estimate, PrefixesHeld, Ready
from timebill_ros.worker.worker_client import WorkerState

LEVERAGE_TOKENS = (1024, 4096)
"""Prompt lengths for which the share of a step's time that eviction can save is told."""
WARN_CONSECUTIVE_MISSES = 3
ERROR_CONSECUTIVE_MISSES = 10
WARN_MISS_RATE = 0.1
ERROR_MISS_RATE = 0.5
RATED_QUERIES = 20
"""Fewer queries than this make no rate."""
QUIET_S = 60.0
"""So long after the last query, its misses are no trouble of now."""
PERCENTILES = (50, 95, 99)
HARDWARE_ID = platform.node() or 'localhost'


def inference_status(
    name: str,
    state: WorkerState,
    sentence: str,
    model: str,
    ready: Ready | None,
    restarts: int,
    worker_memory_mb: float,
    prefixes: PrefixesHeld,
) -> DiagnosticStatus:
    """Return the status of the worker process.

    Arguments:
        name: the node's full name.
        state: of the worker.
        sentence: why queries are not served, if they are not; else ''.
        model: the parameter.
        ready: what the worker said when the model was loaded; None before.
        restarts: how often the worker has been replaced.
        worker_memory_mb: resident memory of the worker [MB]; 0: there is none.
        prefixes: what it holds of prompts that were read.
    """
    if state in (WorkerState.FAILED, WorkerState.WAITING):
        level = DiagnosticStatus.ERROR
    elif sentence or state is not WorkerState.READY:
        level = DiagnosticStatus.WARN
    else:
        level = DiagnosticStatus.OK
    values = {
        'state': state.value,
        'model': model,
        'device': ready.device if ready else '',
        'dtype': ready.dtype if ready else '',
        'quantization': ready.quantization if ready else '',
        'step': ready.step if ready else '',
        'length_predictor': ready.length_predictor if ready else '',
        'restarts': str(restarts),
        'worker_memory_mb': f'{worker_memory_mb:.1f}',
        'prefix_cache_prompts': str(prefixes.prompts),
        'prefix_cache_mb': f'{prefixes.nbytes / 1e6:.1f}',
    }
    return status(level, f'{name}: inference', sentence or 'serving queries', values)


def deadlines_status(
    name: str, summary: QuerySummary, queue_length: int, is_serving: bool
) -> DiagnosticStatus:
    """Return the status of how deadlines are kept.

    Arguments:
        name: the node's full name.
        summary: how queries have ended.
        queue_length: queries that wait.
        is_serving: a query waits or runs.
    """
    consecutive, rate = summary.consecutive_misses, summary.miss_rate
    is_rated = summary.queries >= RATED_QUERIES
    is_quiet = not is_serving and summary.quiet_s >= QUIET_S
    if is_quiet:
        level = DiagnosticStatus.OK
    elif consecutive >= ERROR_CONSECUTIVE_MISSES or (is_rated and rate >= ERROR_MISS_RATE):
        level = DiagnosticStatus.ERROR
    elif consecutive >= WARN_CONSECUTIVE_MISSES or (is_rated and rate >= WARN_MISS_RATE):
        level = DiagnosticStatus.WARN
    else:
        level = DiagnosticStatus.OK
    message = f'{summary.misses} of the last {summary.queries} queries missed'
    if summary.queries == 0:
        message = 'no query yet'
    if consecutive > 1:
        message += f', the last {consecutive} in a row'
    if is_quiet:
        message += f'; no query for {summary.quiet_s:.0f} s'
    times_ms = [1e3 * time_s for time_s in summary.total_times_s]
    values = {
        'queue_length': str(queue_length),
        'miss_rate': f'{rate:.3f}',
        'consecutive_misses': str(consecutive),
        'processing_time_ms': f'{times_ms[-1] if times_ms else 0.0:.1f}',
        'is_processing_time_ms_in_expected_range': str(consecutive == 0),
        'consecutive_processing_delay_ms': f'{1e3 * summary.missing_for_s:.1f}',
        'is_consecutive_processing_delay_in_range': str(consecutive < ERROR_CONSECUTIVE_MISSES),
        **{
            f'processing_time_p{percent}_ms': f'{percentile(times_ms, percent):.1f}'
            for percent in PERCENTILES
        },
        'answered': str(summary.answered),
        **{f'missed_{reason.name}': str(count) for reason, count in summary.missed},
    }
    return status(level, f'{name}: deadlines', message, values)


def estimate_status(
    name: str, estimate: Estimate, errors: Sequence[float], max_eviction_ratio: float
) -> DiagnosticStatus:
    """Return the status of the predicted times.

    Arguments:
        name: the node's full name.
        estimate: as the worker told it last.
        errors: measured / predicted total time - 1 of the last generations.
        max_eviction_ratio: alpha_max, for the leverage.
    """
    model = estimate.time_model
    level = DiagnosticStatus.WARN if estimate.is_drifting else DiagnosticStatus.OK
    if estimate.is_drifting:
        message = (
            f'the machine has changed: prompts take {estimate.reading_drift_factor:.2f} times and '
            f'answers {estimate.drift_factor:.2f} times as long as profiled; call ~/recalibrate'
        )
    else:
        message = 'following the machine' if model else 'no time model: nothing is predicted'
    values = {
        'estimate_error': f'{mean([abs(error) for error in errors]):.3f}',
        'estimate_bias': f'{mean(errors):.3f}',
        'drift_factor': f'{estimate.drift_factor:.3f}',
        'reading_drift_factor': f'{estimate.reading_drift_factor:.3f}',
        'worst_case_margin': f'{model.delta:.3f}' if model else '',
        'worst_case_step_margin': f'{model.step_delta:.3f}' if model else '',
        **{
            f'leverage_{tokens}_tokens': (
                f'{model.leverage(tokens, max_eviction_ratio):.3f}' if model else ''
            )
            for tokens in LEVERAGE_TOKENS
        },
    }
    return status(level, f'{name}: estimate', message, values)


def diagnostic_array(now: object, *statuses: DiagnosticStatus) -> DiagnosticArray:
    """Return the message for /diagnostics, stamped now."""
    array = DiagnosticArray(status=list(statuses))
    array.header.stamp = now
    return array


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the smallest value that percent % of the values do not exceed; 0.0 for none."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def resident_memory_mb(pid: int | None) -> float:
    """Return the resident memory of a process [MB]; 0.0: there is no such process."""
    try:
        pages = Path(f'/proc/{pid}/statm').read_text().split()[1]
    except (OSError, IndexError):
        return 0.0
    return int(pages) * os.sysconf('SC_PAGE_SIZE') / 1e6


def status(level: bytes, name: str, message: str, values: Mapping[str, str]) -> DiagnosticStatus:
    """Return a status of this machine."""
    return DiagnosticStatus(
        level=level,
        name=name,
        message=message,
        hardware_id=HARDWARE_ID,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


def mean(values: Sequence[float]) -> float:
    """Return the mean; 0.0 for none."""
    return sum(values) / len(values) if values else 0.0
