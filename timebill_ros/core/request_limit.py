"""How many requests a remote engine may get within an hour. Pure."""

from collections import deque

_HOUR_S = 3600.0


class RequestLimit:
    """Counts the requests of the last hour.

    Arguments:
        per_hour: so many may be sent within any hour; 0: any number.
    """

    def __init__(self, per_hour: int) -> None:
        self.per_hour = per_hour
        self._sent_at_s: deque[float] = deque()

    def sent(self, now_s: float) -> None:
        """Count a request."""
        self._forget(now_s)
        self._sent_at_s.append(now_s)

    def count(self, now_s: float) -> int:
        """Return how many were sent within the last hour."""
        self._forget(now_s)
        return len(self._sent_at_s)

    def share(self, now_s: float) -> float:
        """Return the share of the limit that has been used, from 0.0; 1.0: none is left."""
        return self.count(now_s) / self.per_hour if self.per_hour else 0.0

    def wait_s(self, now_s: float) -> float:
        """Return how long it takes until a request may be sent [s]; 0.0: it may be sent now."""
        if self.share(now_s) < 1.0:
            return 0.0
        return self._sent_at_s[-self.per_hour] + _HOUR_S - now_s

    def _forget(self, now_s: float) -> None:
        while self._sent_at_s and self._sent_at_s[0] <= now_s - _HOUR_S:
            self._sent_at_s.popleft()
