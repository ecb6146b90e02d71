"""Whether an urgent query takes the backend from the one that runs. Pure."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from timebill_ros.dispatch.completion import Completion, Job
from timebill_ros.dispatch.dispatch_settings import DispatchSettings
from timebill_ros.dispatch.pending_query import PendingQuery
from timebill_ros.dispatch.schedule import Schedule

MOST_BEGUN = 2
"""Queries that have begun and not ended: each has a KV cache in memory."""
MOST_PREEMPTIONS = 8
"""So often a query may be preempted."""


def preemptions_left(entry: PendingQuery, now_s: float) -> int:
    """Return how often a query may still be preempted; one that is late yields to all others."""
    return sys.maxsize if entry.is_late(now_s) else MOST_PREEMPTIONS - entry.bill.preemptions


def may_preempt(
    urgent: PendingQuery,
    running: Sequence[PendingQuery],
    settings: DispatchSettings,
    now_s: float,
    room_tokens: int = 0,
) -> bool:
    """Return whether what runs may be preempted at all.

    Arguments:
        urgent: would run before it.
        running: what runs, then what it has preempted.
        settings: the queue's order, and whether queries are preempted.
        now_s: on the deadlines' clock [s].
        room_tokens: that their caches may have together; 0: not known.
    """
    needed = sum(entry.cache_tokens for entry in (urgent, *running))
    if 0 < room_tokens < needed:
        return False
    return (
        settings.preemption
        and settings.queue_order == 'edf'
        and 0 < len(running) < MOST_BEGUN
        and preemptions_left(running[0], now_s) > 0
    )


def may_overtake(
    urgent: PendingQuery,
    running: Sequence[PendingQuery],
    settings: DispatchSettings,
    now_s: float,
    room_tokens: int = 0,
) -> bool:
    """Return whether a query may run behind what runs, and before what that has preempted.

    Arguments: as for may_preempt().
    """
    return len(running) > 1 and may_preempt(urgent, running[1:], settings, now_s, room_tokens)


@dataclass(frozen=True)
class Preemption:
    """Tests whether more queries are completed in time if one is preempted.

    Preemptive earliest deadline first meets all deadlines that can be met on one processor (Liu
    and Layland 1973). Here it is not a habit: a query is preempted only if one would be late
    otherwise, and no more queries are late for it.

    Arguments:
        completion: predicts when jobs end.
        probability: the least that counts as in time.
        now_s: the present moment [s].
        most: so many may go before one that has begun: each preempts it once.
    """

    completion: Completion
    probability: float
    now_s: float
    most: int = MOST_PREEMPTIONS

    def is_right(self, urgent: Job, begun: Sequence[Job], waiting: Sequence[Job]) -> bool:
        """Return whether a waiting job should run before the one that runs.

        Arguments:
            urgent: the first of those that wait, or what has come and would be.
            begun: what runs, then what it has preempted.
            waiting: in the order of deadlines, the urgent one among them.
        """
        running = begun[0]
        if urgent.last_moment_s >= running.last_moment_s:
            return False
        preempted = self.lost(begun, waiting)
        if urgent in preempted:
            return False
        kept = self.lost_behind(begun[:1], [*begun[1:], *waiting])
        if len(preempted) != len(kept):
            return len(preempted) < len(kept)
        # One of the two is late, whichever runs. The longer one is: it costs the others more.
        return running in preempted

    def lost(self, begun: Sequence[Job], waiting: Sequence[Job]) -> list[Job]:
        """Return what is late if all run in the order of their deadlines."""
        return self.lost_behind((), [*begun, *waiting])

    def lost_behind(self, ahead: Sequence[Job], jobs: Sequence[Job]) -> list[Job]:
        """Return what is late if jobs run in the order of their deadlines, behind others."""
        in_turn = sorted(jobs, key=lambda job: job.last_moment_s)
        begun = [place for place, job in enumerate(in_turn) if job.started_at_s is not None]
        if not begun or begun[0] <= self.most:
            return self._schedule(ahead).given_up(in_turn)
        running = in_turn.pop(begun[0])
        first, rest = in_turn[: self.most], in_turn[self.most :]
        lost = self._schedule(ahead).given_up([*first, running])
        kept = [job for job in first if job not in lost]
        return lost + self._schedule([*ahead, *kept, running]).given_up(rest)

    def _schedule(self, ahead: Sequence[Job]) -> Schedule:
        free_at = self.completion.free_at(ahead, self.now_s)
        return Schedule(self.completion, self.probability, by_deadline=True, free_at=free_at)
