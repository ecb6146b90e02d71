"""How often queries end, and how."""

from collections import Counter, deque

from timebill_ros.core.deadline import Clock

PERIOD_S = 60


class OutcomeRates:
    """Counts kinds of outcomes over the last 60 s. It keeps a count a second.

    Arguments:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_s = clock()
        self._seconds: deque[tuple[int, Counter[str]]] = deque()

    def count(self, kind: str) -> None:
        """Count an outcome, now."""
        second = int(self._clock())
        if not self._seconds or self._seconds[-1][0] != second:
            self._forget()
            self._seconds.append((second, Counter()))
        self._seconds[-1][1][kind] += 1

    def rates(self) -> dict[str, float]:
        """Return how often each kind occurred [1/s]; kinds that did not are left out."""
        self._forget()
        total: Counter[str] = Counter()
        for _, counts in self._seconds:
            total.update(counts)
        seen_s = min(max(self._clock() - self._began_s, 1.0), PERIOD_S)
        return {kind: count / seen_s for kind, count in total.items()}

    def _forget(self) -> None:
        oldest = self._clock() - PERIOD_S
        while self._seconds and self._seconds[0][0] < oldest:
            self._seconds.popleft()
