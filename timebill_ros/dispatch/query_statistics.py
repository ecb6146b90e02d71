"""Counts how queries have ended."""

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from timebill_ros.core.bill import Bill
from timebill_ros.core.deadline import Clock
from timebill_ros.core.outcome import Answer, MissReason, Outcome
from timebill_ros.dispatch.outcome_rates import OutcomeRates

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
        answered_late: late answers since the node started.
        rates: how often queries ended in the last minute, by kind_of() [1/s].
        response_times_s: from the query's stamp to its answer [s], newest last.
        cached_share: of the prompt tokens of answers, those that were not read again.
        quiet_s: time since one of the queries ended, of those that count here [s]; 0: none has.
    """

    queries: int = 0
    misses: int = 0
    consecutive_misses: int = 0
    missing_for_s: float = 0.0
    total_times_s: tuple[float, ...] = ()
    estimate_errors: tuple[float, ...] = ()
    answered: int = 0
    missed: tuple[tuple[MissReason, int], ...] = ()
    answered_late: int = 0
    rates: Mapping[str, float] = field(default_factory=dict)
    response_times_s: tuple[float, ...] = ()
    cached_share: float = 0.0
    quiet_s: float = 0.0

    @property
    def miss_rate(self) -> float:
        """Share of the queries that were missed."""
        return self.misses / self.queries if self.queries else 0.0


def kind_of(outcome: Outcome) -> str:
    """Return how a query ended: 'answered', 'answered_late' or 'missed_<reason>'."""
    if isinstance(outcome, Answer):
        return 'answered' if outcome.deadline_met else 'answered_late'
    return f'missed_{outcome.reason.name.lower()}'


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
        self._response_times_s: deque[float] = deque(maxlen=WINDOW)
        self._prompts: deque[tuple[int, int]] = deque(maxlen=WINDOW)
        self._rates = OutcomeRates(clock)
        self._consecutive_misses = 0
        self._first_miss_s = self._last_miss_s = self._last_s = 0.0
        self._answered = self._answered_late = 0
        self._missed: Counter[MissReason] = Counter()

    def count(self, outcome: Outcome, bill: Bill) -> None:
        """Count a query that has ended."""
        with self._lock:
            self._rates.count(kind_of(outcome))
            if isinstance(outcome, Answer):
                is_miss = not outcome.deadline_met
                self._answered += 1
                self._answered_late += is_miss
                self._response_times_s.append(bill.time_budget - bill.slack)
                self._prompts.append((bill.cached_tokens, bill.prompt_tokens))
            else:
                self._missed[outcome.reason] += 1
                if outcome.reason not in NODE_MISSES:
                    return
                is_miss = True
            self._last_s = self._clock()
            self._is_miss.append(is_miss)
            if bill.total_time > 0.0:
                self._total_times_s.append(bill.total_time)
            if not is_miss:
                self._consecutive_misses = 0
                return
            self._last_miss_s = self._last_s
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
            cached = sum(cached for cached, _ in self._prompts)
            prompts = sum(tokens for _, tokens in self._prompts)
            return QuerySummary(
                queries=len(self._is_miss),
                misses=sum(self._is_miss),
                consecutive_misses=self._consecutive_misses,
                missing_for_s=self._last_miss_s - self._first_miss_s if missing else 0.0,
                total_times_s=tuple(self._total_times_s),
                estimate_errors=tuple(self._errors),
                answered=self._answered,
                missed=tuple((reason, self._missed[reason]) for reason in MissReason),
                answered_late=self._answered_late,
                rates=self._rates.rates(),
                response_times_s=tuple(self._response_times_s),
                cached_share=cached / prompts if prompts else 0.0,
                quiet_s=self._clock() - self._last_s if self._is_miss else 0.0,
            )
