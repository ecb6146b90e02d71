"""The remote engine as the dispatcher sees it: what it is asked, and what is known of its link."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from timebill_ros.core.deadline import Clock
from timebill_ros.core.link_model import Exchange, LinkModel, LinkReport
from timebill_ros.core.outcome import FinishReason
from timebill_ros.core.request_limit import RequestLimit
from timebill_ros.dispatch.answer_length import AnswerLength
from timebill_ros.dispatch.deadline_guard import DeadlineGuard
from timebill_ros.dispatch.learned_lengths import LearnedLengths
from timebill_ros.dispatch.link_probe import LinkProbe
from timebill_ros.dispatch.pending_query import PendingQuery
from timebill_ros.dispatch.ports import RemoteEngine
from timebill_ros.dispatch.remote_attempt import RemoteAttempt, RemoteEnd

LIKELY_FROM = 0.8
"""The least probability to be in time with which a link is not slow."""
_PROBED_SHARE = 0.5
"""Probes leave so much of the limit of requests to queries."""


class RemoteLine:
    """Asks a remote engine, and learns from what it does. Used under the dispatcher's lock.

    Arguments:
        guard: calls back for a probe.
        clock: monotonic seconds.
        serving: takes the dispatcher's lock.
        is_idle: whether the node has no query.
    """

    def __init__(
        self,
        guard: DeadlineGuard,
        clock: Clock,
        serving: Callable[[], AbstractContextManager[None]],
        is_idle: Callable[[], bool],
    ) -> None:
        self._clock = clock
        self._is_idle = is_idle
        self._engine: RemoteEngine | None = None
        self._link = LinkModel()
        self._limit = RequestLimit(0)
        self._lengths = LearnedLengths()
        self.probe = LinkProbe(self._link, guard, clock, serving, self._may_be_probed, self._count)
        self.asked: dict[int, PendingQuery] = {}

    def use(self, engine: RemoteEngine | None, requests_per_hour: int) -> None:
        """Take a remote engine, or lose it."""
        self._engine = engine
        # One that comes back has not got a new hour.
        if engine is not None and requests_per_hour != self._limit.per_hour:
            self._limit = RequestLimit(requests_per_hour)
        self.probe.use(engine)

    @property
    def report(self) -> LinkReport:
        """How the link does."""
        now_s = self._clock()
        return LinkReport(self._link.state(now_s), self._link.fault, self._limit.count(now_s))

    def why_limited(self) -> str:
        """Return a sentence if no request is left of this hour; ''."""
        wait_s = self._limit.wait_s(self._clock())
        if not wait_s:
            return ''
        bound = self._limit.per_hour
        return (
            f'{bound} requests were sent to the remote engine within the last hour, and '
            f'remote_requests_per_hour is {bound}; the next may be sent in {wait_s:.0f} s'
        )

    def is_likely(self, entry: PendingQuery, least: float, may_probe: bool) -> bool:
        """Return whether a query should be sent.

        Arguments:
            least: the least probability of an answer in time.
            may_probe: send it now and then even if that is not reached.
        """
        now_s, link = self._clock(), self._link
        if self._engine is None or not link.may_be_asked(len(self.asked), now_s):
            return False
        probability = link.probability(
            entry.prompt_bytes, self._likely(entry), entry.last_moment_s - now_s
        )
        link.is_slow = probability < LIKELY_FROM
        is_likely = probability >= least or (
            may_probe and link.may_be_probed(len(self.asked), now_s)
        )
        return is_likely and not self.why_limited()

    def ask(self, entry: PendingQuery, attempt: RemoteAttempt) -> bool:
        """Send a query; return False if that cannot be now."""
        query = entry.query
        if self._engine is None or not self._engine.ask(
            entry.number, query, query.max_new_tokens, entry.last_moment_s
        ):
            return False
        self._count()
        self._link.asked(attempt.from_s)
        entry.attempt = attempt
        entry.bill.asked_remote(
            attempt.from_s, self._link.predicted_s(entry.prompt_bytes, self._likely(entry))
        )
        self.asked[entry.number] = entry
        return True

    def leave(self, entry: PendingQuery) -> None:
        """Have the engine stop a query; nothing happens if it has ended it."""
        if self.asked.pop(entry.number, None) is not None and self._engine is not None:
            self._engine.abort(entry.number)

    def is_rest_likely(self, entry: PendingQuery) -> bool:
        """Return whether the rest of an answer that has begun is likely to come in time."""
        assert entry.attempt is not None
        left_s, tokens = entry.last_moment_s - self._clock(), entry.attempt.tokens
        probability = self._link.rest_probability(self._likely(entry), tokens, left_s)
        return bool(tokens) and probability >= LIKELY_FROM

    def answered(self, entry: PendingQuery, end: RemoteEnd) -> None:
        """Learn from a whole answer, or from one that the server cut."""
        del self.asked[entry.number]
        attempt = entry.attempt
        assert attempt is not None
        attempt.tokens = tokens = end.bill.response_tokens
        if not tokens or attempt.first_at_s is None:
            return
        is_whole = end.finish_reason is FinishReason.EOS
        self._learn(entry, AnswerLength(tokens, is_whole))
        first_s = attempt.first_at_s - attempt.from_s
        token_s = (end.at_s - attempt.first_at_s) / max(1, tokens - 1)
        self._link.answered(Exchange(entry.prompt_bytes, first_s, token_s))

    def failed(self, detail: str) -> None:
        """Learn of a fault that the next query would meet, too."""
        self._link.failed(detail, self._clock())
        self.probe.plan()

    def cut_off(self, entry: PendingQuery) -> None:
        """Learn from an answer that time cuts off, or that has not even begun; have it stopped."""
        attempt, now_s = entry.attempt, self._clock()
        if attempt is None or entry.number not in self.asked:
            return
        self.leave(entry)
        if attempt.first_at_s is None:
            self._link.not_answered(entry.prompt_bytes, now_s - attempt.from_s, now_s)
            self.probe.plan()
            return
        self._learn(entry, AnswerLength(attempt.tokens, is_whole=False))
        token_s = (now_s - attempt.first_at_s) / max(1, attempt.tokens)
        first_s = attempt.first_at_s - attempt.from_s
        self._link.cut_off(Exchange(entry.prompt_bytes, first_s, token_s))

    def _may_be_probed(self) -> bool:
        return self._is_idle() and self._limit.share(self._clock()) < _PROBED_SHARE

    def _count(self) -> None:
        self._limit.sent(self._clock())

    def _likely(self, entry: PendingQuery) -> tuple[int, ...]:
        return self._lengths.likely(entry.habit, entry.query.max_new_tokens)

    def _learn(self, entry: PendingQuery, length: AnswerLength) -> None:
        self._lengths.observe(entry.habit, length, entry.query.max_new_tokens, ())
