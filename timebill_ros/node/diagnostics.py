"""Counts how queries end, and tells it on /diagnostics (REP-107)."""

import threading
from collections import Counter, deque

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from timebill_ros.core.bill import Bill
from timebill_ros.core.outcome import Answer, MissReason, Outcome
from timebill_ros.worker.protocol import Estimate, Ready
from timebill_ros.worker.worker_client import WorkerState

LEVERAGE_TOKENS = (1024, 4096)
"""Prompt lengths for which the share of a step's time that eviction can save is told."""


class Statistics:
    """How queries have ended since the node started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answered = 0
        self._missed: Counter[MissReason] = Counter()
        self._last_total_s = 0.0
        self._sum_total_s = 0.0
        self._errors: deque[float] = deque(maxlen=100)

    def count(self, outcome: Outcome, bill: Bill) -> None:
        """Count a query that has ended."""
        with self._lock:
            if isinstance(outcome, Answer):
                self._answered += 1
                self._last_total_s = bill.total_time
                self._sum_total_s += bill.total_time
            else:
                self._missed[outcome.reason] += 1

    def count_estimate(self, estimate: Estimate) -> None:
        """Count how far the estimate was off for a generation."""
        with self._lock:
            if estimate.error:
                self._errors.append(estimate.error)

    def values(self) -> dict[str, str]:
        """Return the counts by their stable names; times in seconds."""
        with self._lock:
            mean_s = self._sum_total_s / self._answered if self._answered else 0.0
            return {
                'answered': str(self._answered),
                'missed': str(sum(self._missed.values())),
                **{f'missed {reason.name}': str(self._missed[reason]) for reason in MissReason},
                'last total time': f'{self._last_total_s:.3f}',
                'mean total time': f'{mean_s:.3f}',
                'estimate error': f'{_mean([abs(error) for error in self._errors]):.3f}',
                'estimate bias': f'{_mean(list(self._errors)):.3f}',
            }


def diagnostic_status(
    name: str,
    state: WorkerState,
    sentence: str,
    model: str,
    ready: Ready | None,
    restarts: int,
    queue_length: int,
    statistics: Statistics,
    estimate: Estimate,
    max_eviction_ratio: float,
) -> DiagnosticStatus:
    """Return the node's status.

    Arguments:
        name: the node's full name.
        state: of the worker.
        sentence: why queries are not served, if they are not; else ''.
        model: the parameter.
        ready: what the worker said when the model was loaded; None before.
        restarts: how often the worker has been replaced.
        queue_length: queries that wait.
        statistics: counts.
        estimate: of the time model, as the worker told it last.
        max_eviction_ratio: alpha_max, for the leverage.
    """
    levels = {
        WorkerState.READY: DiagnosticStatus.OK,
        WorkerState.FAILED: DiagnosticStatus.ERROR,
        WorkerState.WAITING: DiagnosticStatus.ERROR,
    }
    level = levels.get(state, DiagnosticStatus.WARN)
    if level == DiagnosticStatus.OK and estimate.is_drifting:
        sentence = sentence or (
            f'the machine has changed: times are {estimate.drift_factor:.2f} times the profiled '
            'ones; call ~/recalibrate'
        )
    if level == DiagnosticStatus.OK and sentence:
        level = DiagnosticStatus.WARN
    values = {
        'model': model,
        'device': ready.device if ready else '',
        'dtype': ready.dtype if ready else '',
        'state': state.value,
        'restarts': str(restarts),
        'queue length': str(queue_length),
        **statistics.values(),
        **_estimate_values(estimate, max_eviction_ratio),
    }
    return DiagnosticStatus(
        level=level,
        name=f'{name}: inference',
        hardware_id=ready.device if ready else '',
        message=sentence or 'serving queries',
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


def _estimate_values(estimate: Estimate, max_eviction_ratio: float) -> dict[str, str]:
    model = estimate.time_model
    return {
        'drift factor': f'{estimate.drift_factor:.3f}',
        'worst case margin': f'{model.delta:.3f}' if model else '',
        **{
            f'leverage at {tokens} tokens': (
                f'{model.leverage(tokens, max_eviction_ratio):.3f}' if model else ''
            )
            for tokens in LEVERAGE_TOKENS
        },
    }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def diagnostic_array(status: DiagnosticStatus, now: object) -> DiagnosticArray:
    """Return the message for /diagnostics, stamped now."""
    array = DiagnosticArray(status=[status])
    array.header.stamp = now
    return array
