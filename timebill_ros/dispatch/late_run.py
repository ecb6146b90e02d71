"""The bounds of a query that runs on beyond its deadline under SKIP_NEXT.

max_new_tokens ends it in the normal course of things. Beyond that, a reply always comes: the query
is KILLED max_time_budget after it was asked; and it is an ENGINE_FAULT when the backend has said
nothing of it for as long as its whole time budget, and for 10 times abort_grace. While it runs,
everything that waits or arrives is SKIPPED at once.
"""

from timebill_ros.core.outcome import Miss, MissReason
from timebill_ros.dispatch.dispatch_settings import DispatchSettings
from timebill_ros.dispatch.pending_query import PendingQuery

_GRACES = 10


class LateRun:
    """A running query that has passed its last moment.

    Arguments:
        entry: the query.
        settings: as they are now; they hold to its end.
    """

    def __init__(self, entry: PendingQuery, settings: DispatchSettings) -> None:
        self.entry = entry
        self._patience_s = max(entry.query.time_budget_s, _GRACES * settings.abort_grace_s)

    @property
    def look_at_s(self) -> float:
        """When to ask end() next [s]."""
        return min(self.entry.stop_at_s, self.entry.heard_at_s + self._patience_s)

    def skipped(self) -> Miss:
        """Return how queries end whose turn falls into this one's overrun."""
        key = self.entry.query.key
        return Miss(
            MissReason.SKIPPED,
            f'query {key.id!r} of asker {key.asker!r} has passed its deadline and is being '
            'finished (overrun policy SKIP_NEXT)',
        )

    def end(self, now_s: float) -> Miss | None:
        """Return how the query ends now, None if it may run on."""
        if now_s >= self.entry.stop_at_s:
            longest_s = self.entry.stop_at_s - self.entry.query.asked_at_s
            return Miss(
                MissReason.KILLED,
                f'it was not finished {longest_s:.3f} s after it was asked '
                f'(max_time_budget), while {self.entry.doing}',
            )
        if now_s >= self.entry.heard_at_s + self._patience_s:
            return Miss(
                MissReason.ENGINE_FAULT,
                f'the worker process has shown no sign of life for {self._patience_s:.3f} s, '
                f'while {self.entry.doing}',
            )
        return None
