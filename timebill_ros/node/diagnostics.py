"""Counts how queries end, and tells it on /diagnostics (REP-107)."""

import threading
from collections import Counter

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from timebill_ros.core.bill import Bill
from timebill_ros.core.outcome import Answer, MissReason, Outcome
from timebill_ros.worker.protocol import Ready
from timebill_ros.worker.worker_client import WorkerState


class Statistics:
    """How queries have ended since the node started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answered = 0
        self._missed: Counter[MissReason] = Counter()
        self._last_total_s = 0.0
        self._sum_total_s = 0.0

    def count(self, outcome: Outcome, bill: Bill) -> None:
        """Count a query that has ended."""
        with self._lock:
            if isinstance(outcome, Answer):
                self._answered += 1
                self._last_total_s = bill.total_time
                self._sum_total_s += bill.total_time
            else:
                self._missed[outcome.reason] += 1

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
    """
    levels = {
        WorkerState.READY: DiagnosticStatus.OK,
        WorkerState.FAILED: DiagnosticStatus.ERROR,
        WorkerState.WAITING: DiagnosticStatus.ERROR,
    }
    level = levels.get(state, DiagnosticStatus.WARN)
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
    }
    return DiagnosticStatus(
        level=level,
        name=f'{name}: inference',
        hardware_id=ready.device if ready else '',
        message=sentence or 'serving queries',
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


def diagnostic_array(status: DiagnosticStatus, now: object) -> DiagnosticArray:
    """Return the message for /diagnostics, stamped now."""
    array = DiagnosticArray(status=[status])
    array.header.stamp = now
    return array
