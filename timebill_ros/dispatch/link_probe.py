"""Small requests to a link that has failed, in idle time: so that queries need not try it."""

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager

from timebill_ros.core.deadline import Clock, Deadline
from timebill_ros.core.link_model import LinkModel
from timebill_ros.core.outcome import OverrunPolicy
from timebill_ros.core.query import Origin, Query, QueryKey
from timebill_ros.core.remote_policy import RemotePolicy
from timebill_ros.dispatch.deadline_guard import DeadlineGuard
from timebill_ros.dispatch.ports import RemoteEngine

PROBE_S = 5.0
"""A probe that is not answered within this time is a fault."""
PAUSE_S = 1.0
"""Between two probes, and before another look at whether the node is idle."""


class LinkProbe:
    """Asks for one token when a fault's time of distrust is over, until the link is trusted.

    Used under the dispatcher's lock. The numbers of probes are negative; those of queries are not.

    Arguments:
        link: learns from them.
        guard: calls back when one is due.
        clock: monotonic seconds.
        serving: takes the dispatcher's lock.
        may_be_sent: whether the node is idle, and the limit of requests leaves some.
        sent: told of each request.
    """

    def __init__(
        self,
        link: LinkModel,
        guard: DeadlineGuard,
        clock: Clock,
        serving: Callable[[], AbstractContextManager[None]],
        may_be_sent: Callable[[], bool],
        sent: Callable[[], None],
    ) -> None:
        self._link = link
        self._guard = guard
        self._clock = clock
        self._serving = serving
        self._may_be_sent = may_be_sent
        self._sent = sent
        self._engine: RemoteEngine | None = None
        self._numbers = itertools.count(-1, -1)
        self._asked: int | None = None
        self._is_planned = False

    def use(self, engine: RemoteEngine | None) -> None:
        """Take a remote engine, or lose it."""
        self._engine, self._asked = engine, None
        self.plan()

    def plan(self) -> None:
        """Send the next probe in its time, if the link is not trusted."""
        if self._engine is not None and not (self._link.is_trusted or self._is_planned):
            self._is_planned = True
            at_s = max(self._link.distrusted_until_s, self._clock() + PAUSE_S)
            self._guard.at(at_s, self._on_due)

    def answered(self, number: int) -> None:
        """Take an answer; which one is no matter."""
        if number == self._asked:
            self._asked = None
            self._link.probed()
            self.plan()

    def faulted(self, number: int, detail: str) -> None:
        """Take that there is no answer."""
        if number == self._asked:
            self._asked = None
            self._link.failed(detail, self._clock())
            self.plan()

    def _on_due(self) -> None:
        with self._serving():
            self._is_planned = False
            if self._engine is None or self._asked is not None:
                return
            now_s = self._clock()
            is_time = now_s >= self._link.distrusted_until_s and not self._link.is_trusted
            if is_time and self._may_be_sent():
                number, until_s = next(self._numbers), now_s + PROBE_S
                if self._engine.ask(number, self._query(until_s), 1, until_s):
                    self._asked = number
                    self._sent()
                    self._guard.at(until_s, lambda: self._on_silence(number))
                    return
            self.plan()

    def _on_silence(self, number: int) -> None:
        with self._serving():
            if number == self._asked and self._engine is not None:
                self._engine.abort(number)
                self.faulted(number, f'it did not answer a probe within {PROBE_S:.0f} s')

    def _query(self, until_s: float) -> Query:
        return Query(
            origin=Origin(QueryKey('', 'probe')),
            prompt='Say yes.',
            system_prompt='',
            max_new_tokens=1,
            overrun_policy=OverrunPolicy.KILL,
            asked_at_s=self._clock(),
            deadline=Deadline(until_s, self._clock),
            remote_policy=RemotePolicy.ONLY,
        )
