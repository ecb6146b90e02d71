"""Fills the bill of one query as the node learns of it. No other place in the node does."""

from dataclasses import dataclass, field, replace

from timebill_ros.core.bill import Bill
from timebill_ros.core.plan import Plan
from timebill_ros.core.query import Query


@dataclass
class QueryBill:
    """Grows from the query's arrival to its reply. All times are on the deadline's clock [s].

    The backend's own bill is taken over when it comes. A query that ends before is billed by what
    the node has seen.

    Arguments:
        so_far: what is known, without what the reply's time decides.
        started_at_s: when it was sent to run; None: it waits.
        planned_at_s: when its prefill had ended; None: it has not.
        written_at_s: when its first text came; None: there is none.
        preempted_at_s: since when it is preempted; None: it is not [s].
        preempted_before_s: for how long it was preempted before that [s].
        remote_from_s: since when a remote engine is asked; None: none is [s].
        preempted_in_prefill_s: how much of that was before its prefill had ended [s].
    """

    query: Query
    so_far: Bill = field(default_factory=Bill)
    started_at_s: float | None = None
    planned_at_s: float | None = None
    written_at_s: float | None = None
    preempted_at_s: float | None = None
    preempted_before_s: float = 0.0
    preempted_in_prefill_s: float = 0.0
    remote_from_s: float | None = None
    preemptions: int = 0

    def tokenised(self, prompt_tokens: int, cached_tokens: int = 0) -> None:
        """Take the prompt's length, and how much of it is cached [tokens]."""
        self.so_far = replace(
            self.so_far, prompt_tokens=prompt_tokens, cached_tokens=cached_tokens
        )

    def expected(self, plan: Plan) -> None:
        """Take what a plan expects of a query that is not to run."""
        self.so_far = replace(self.so_far.with_plan(plan), kept_tokens=0, eviction_ratio=0.0)

    def started(self, now_s: float) -> None:
        """Take the end of its waiting."""
        self.started_at_s = now_s
        self.so_far = replace(self.so_far, queue_time=now_s - self.query.asked_at_s)

    def preempted(self, now_s: float) -> None:
        """Take the beginning of a wait for a more urgent query."""
        self.preempted_at_s = now_s
        self.preemptions += 1

    def resumed(self, now_s: float) -> None:
        """Take its end; nothing happens if it was not preempted."""
        self.preempted_before_s = self.preempted_s(now_s)
        self.preempted_at_s = None

    def preempted_s(self, now_s: float) -> float:
        """Return for how long it was preempted, until now [s]."""
        since_s = now_s if self.preempted_at_s is None else self.preempted_at_s
        return self.preempted_before_s + now_s - since_s

    def ran_from_s(self, now_s: float) -> float:
        """Return when it would have started had it never been preempted [s]."""
        assert self.started_at_s is not None
        return self.started_at_s + self.preempted_s(now_s)

    def planned(self, bill: Bill, now_s: float) -> None:
        """Take the backend's bill after the prefill."""
        self.planned_at_s = now_s
        self.preempted_in_prefill_s = self.preempted_s(now_s)
        self._take_over(bill)

    def written(self, response_tokens: int, now_s: float, thinking_tokens: int = 0) -> None:
        """Take the length so far, and how much of it is thinking [tokens]."""
        if self.written_at_s is None:
            self.written_at_s = now_s
        self.so_far = replace(
            self.so_far, response_tokens=response_tokens, thinking_tokens=thinking_tokens
        )

    def finished(self, bill: Bill) -> None:
        """Take the backend's whole bill."""
        self._take_over(bill)

    def asked_remote(self, now_s: float, predicted_s: float) -> None:
        """Take that a remote engine is asked, and the time that is predicted of it [s]."""
        self.remote_from_s = now_s
        self.so_far = replace(
            self.so_far,
            queue_time=now_s - self.query.asked_at_s,
            predicted_remote_time=predicted_s,
        )

    def remote_counted(self, bill: Bill) -> None:
        """Take the tokens that a remote engine has counted.

        If the own model has tokenised the prompt too, its count stays: its times belong to it.
        """
        self.so_far = replace(
            self.so_far,
            prompt_tokens=self.so_far.prompt_tokens or bill.prompt_tokens,
            response_tokens=bill.response_tokens,
        )

    def came_back(self, now_s: float) -> None:
        """Take that the own model is to answer instead of a remote engine."""
        self.so_far = replace(
            self.so_far,
            remote_time=self._remote_s(now_s),
            response_tokens=0,
            discarded_tokens=self.so_far.response_tokens,
        )
        self.remote_from_s = self.written_at_s = None

    def remote_lost(self, now_s: float, tokens: int) -> None:
        """Take that a remote engine, asked beside the own model, has lost with so many tokens."""
        self.so_far = replace(
            self.so_far,
            remote_time=self._remote_s(now_s),
            discarded_tokens=self.so_far.discarded_tokens + tokens,
        )
        self.remote_from_s = None

    def own_lost(self, now_s: float, remote_tokens: int) -> None:
        """Take that the own model has lost, or has failed; what it took stays on the bill.

        Arguments:
            remote_tokens: length of the remote answer so far.
        """
        own = self._of_own_model(now_s)
        self.so_far = replace(
            own,
            discarded_tokens=own.discarded_tokens + own.response_tokens,
            response_tokens=remote_tokens,
            thinking_tokens=0,
            forced_tokens=0,
        )
        self.started_at_s = self.preempted_at_s = None

    def at_reply(self, now_s: float) -> Bill:
        """Return the bill to publish."""
        return self._closed(self._measured(now_s), now_s)

    def at_refusal(self, now_s: float) -> Bill:
        """Return the bill to publish of a query that was not admitted: it has not waited."""
        return self._closed(self.so_far, now_s)

    def _remote_s(self, now_s: float) -> float:
        assert self.remote_from_s is not None
        return now_s - self.remote_from_s

    def _measured(self, now_s: float) -> Bill:
        bill = self._of_own_model(now_s)
        if self.remote_from_s is not None:
            bill = replace(bill, remote_time=self._remote_s(now_s))
        return bill

    def _of_own_model(self, now_s: float) -> Bill:
        if self.started_at_s is None and self.remote_from_s is not None:
            return self.so_far
        if self.started_at_s is None:
            return replace(self.so_far, queue_time=now_s - self.query.asked_at_s)
        if self.so_far.total_time > 0:  # the backend's own, complete
            return self.so_far
        preempted_s = self.preempted_s(now_s)
        bill = replace(
            self.so_far,
            total_time=now_s - self.started_at_s - preempted_s,
            preemptions=self.preemptions,
            preempted_time=preempted_s,
        )
        if self.planned_at_s is None:
            return replace(bill, prefill_time=bill.total_time)
        if bill.eviction_ratio == 0.0:
            waited_s = preempted_s - self.preempted_in_prefill_s
            return replace(bill, decode_time=now_s - self.planned_at_s - waited_s)
        # The first text comes right after the eviction.
        evicted_at_s = now_s if self.written_at_s is None else self.written_at_s
        return replace(
            bill,
            eviction_time=evicted_at_s - self.planned_at_s,
            decode_time=now_s - evicted_at_s - (preempted_s - self.preempted_in_prefill_s),
        )

    def _closed(self, bill: Bill, now_s: float) -> Bill:
        query = self.query
        return replace(bill, time_budget=query.time_budget_s, slack=query.deadline.at_s - now_s)

    def _take_over(self, bill: Bill) -> None:
        before = self.so_far
        self.so_far = replace(
            bill,
            queue_time=before.queue_time,
            discarded_tokens=before.discarded_tokens,
            predicted_remote_time=before.predicted_remote_time,
            remote_time=before.remote_time,
        )
