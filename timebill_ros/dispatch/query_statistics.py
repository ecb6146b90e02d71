"""Counts how queries have ended."""

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass

from timebill_ros.core.bill import Bill
from timebill_ros.core.deadline import Clock
from timebill_ros.core.outcome import Answer, MissReason, Outcome

WINDOW = 100
"""Queries, times and errors so far back are told of."""
NODE_MISSES = frozenset(
    {
        MissReason.INFEASIBLE,
        MissReason.QUEUE_FULL,
        MissReason.KILLED,
        MissReason.SKIPPED,
        MissReason.ENGINE_FAULT,
        MissReason.OVERLOADED,
    }
)
"""Misses that are the node's: a valid query got no answer in the time that it brought.

The others say nothing of how well deadlines are kept. INVALID_QUERY, DUPLICATE_ID, CANCELLED and
EXPIRED are the asker's (or its clock's); of NOT_READY the status of the inference tells.
"""


@dataclass(frozen=True)
class QuerySummary:
    """How queries have ended; of the last 100 unless it says otherwise.

    Only answers and the node's misses are counted as queries, and a late answer is a miss.

    Arguments:
        queries: how many there are, at most 100.
        misses: how many of them were missed.
        consecutive_misses: how many of all queries have been missed since the last one in time.
        missing_for_s: from the first to the last of these [s].
        total_times_s: what the model worked on each [s], newest last; not those it never began.
        estimate_errors: measured / predicted total time - 1 of generations, newest last.
        answered: answers since the node started, late ones included.
        missed: misses of each reason since the node started, the asker's included.
    """

    queries: int = 0
    misses: int = 0
    consecutive_misses: int = 0
    missing_for_s: float = 0.0
    total_times_s: tuple[float, ...] = ()
    estimate_errors: tuple[float, ...] = ()
    answered: int = 0
    missed: tuple[tuple[MissReason, int], ...] = ()

    @property
    def miss_rate(self) -> float:
        """Share of the queries that were missed."""
        return self.misses / self.queries if self.queries else 0.0


class QueryStatistics:
    """Counts queries as they end. Its methods may be called from any thread.

    Arguments:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._is_miss: deque[bool] = deque(maxlen=WINDOW)
        self._total_times_s: deque[float] = deque(maxlen=WINDOW)
        self._errors: deque[float] = deque(maxlen=WINDOW)
        self._consecutive_misses = 0
        self._first_miss_s = self._last_miss_s = 0.0
        self._answered = 0
        self._missed: Counter[MissReason] = Counter()

    def count(self, outcome: Outcome, bill: Bill) -> None:
        """Count a query that has ended."""
        with self._lock:
            if isinstance(outcome, Answer):
                self._answered += 1
                is_miss = not outcome.deadline_met
            else:
                self._missed[outcome.reason] += 1
                if outcome.reason not in NODE_MISSES:
                    return
                is_miss = True
            self._is_miss.append(is_miss)
            if bill.total_time > 0.0:
                self._total_times_s.append(bill.total_time)
            if not is_miss:
                self._consecutive_misses = 0
                return
            self._last_miss_s = self._clock()
            if self._consecutive_misses == 0:
                self._first_miss_s = self._last_miss_s
            self._consecutive_misses += 1

    def count_estimate(self, error: float) -> None:
        """Count how far the estimate was off.

        Arguments:
            error: measured / predicted total time - 1 of a generation; 0.0: there was none.
        """
        with self._lock:
            if error:
                self._errors.append(error)

    def summary(self) -> QuerySummary:
        """Return how things stand."""
        with self._lock:
            missing = self._consecutive_misses > 0
            return QuerySummary(
                queries=len(self._is_miss),
                misses=sum(self._is_miss),
                consecutive_misses=self._consecutive_misses,
                missing_for_s=self._last_miss_s - self._first_miss_s if missing else 0.0,
                total_times_s=tuple(self._total_times_s),
                estimate_errors=tuple(self._errors),
                answered=self._answered,
                missed=tuple((reason, self._missed[reason]) for reason in MissReason),
            )
