"""Which queries a remote engine gets, and which come back to this node's own model.

The deadline is watched as that of any query. A remote answer is never late: under SKIP_NEXT too, a
query ends at its last moment. Under PREFER, nothing is published of a remote answer before it is
certain that it will be the answer. Under RACE, both answer: see race.py.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager

from timebill_ros.core.bill import Bill
from timebill_ros.core.deadline import Clock
from timebill_ros.core.link_model import LinkReport
from timebill_ros.core.outcome import Confidence, FinishReason, Miss, MissReason, Outcome
from timebill_ros.core.remote_policy import RemotePolicy
from timebill_ros.dispatch import overrun
from timebill_ros.dispatch.answer_text import AnswerText
from timebill_ros.dispatch.deadline_guard import DeadlineGuard
from timebill_ros.dispatch.endings import Endings
from timebill_ros.dispatch.pending_queries import PendingQueries
from timebill_ros.dispatch.pending_query import PendingQuery
from timebill_ros.dispatch.ports import RemoteEngine
from timebill_ros.dispatch.race import Race
from timebill_ros.dispatch.remote_attempt import RemoteAttempt, RemoteEnd
from timebill_ros.dispatch.remote_line import LIKELY_FROM, RemoteLine
from timebill_ros.dispatch.reply_writer import ReplyWriter
from timebill_ros.dispatch.turns import Turns


class RemoteTurns:
    """Gives queries to a remote engine. Used under the dispatcher's lock; on_... takes it.

    Arguments:
        turns: gives the others to the own model.
        pending: the queries that have not ended.
        endings: ends them.
        writer: takes chunks.
        guard: calls back at a switch point.
        clock: monotonic seconds.
        serving: takes the dispatcher's lock; at its end, the next query starts.
    """

    def __init__(
        self,
        turns: Turns,
        pending: PendingQueries,
        endings: Endings,
        writer: ReplyWriter,
        guard: DeadlineGuard,
        clock: Clock,
        serving: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._turns = turns
        self._pending = pending
        self._endings = endings
        self._writer = writer
        self._guard = guard
        self._clock = clock
        self._serving = serving
        self._line = RemoteLine(guard, clock, serving, lambda: not len(pending))
        self._race = Race(self._line, turns, endings, writer, clock)

    def use(self, engine: RemoteEngine | None, requests_per_hour: int = 0) -> None:
        """Take a remote engine, or lose it. What it was asked comes back, or ends.

        Arguments:
            requests_per_hour: so many may be sent within any hour; 0: any number.
        """
        with self._serving():
            self._line.use(engine, requests_per_hour)
            for entry in list(self._line.asked.values()):
                self._give_up(entry, 'the remote engine is no longer used (remote_policy)')

    @property
    def link(self) -> LinkReport:
        """How the link does."""
        with self._serving():
            return self._line.report

    def takes(self, entry: PendingQuery) -> bool:
        """Give a query that has just come to the remote engine, if its policy says so.

        Return whether the own model must not have it.
        """
        policy = entry.query.remote_policy
        if policy is RemotePolicy.ONLY:
            self._pending.queue.remove(entry.number)
            self._ask_only(entry)
            return True
        if policy is RemotePolicy.PREFER:
            return self._ask_first(entry)
        if policy is RemotePolicy.RACE:
            self._race.begin(entry)
        return False

    def ended(self, entry: PendingQuery, outcome: Outcome) -> None:
        """Learn from a query that has ended, whoever answered it."""
        attempt = entry.attempt
        if attempt is None:
            self._turns.ended(entry, outcome)
            return
        if self._clock() >= entry.last_moment_s:
            self._line.cut_off(entry)
        else:
            self._line.leave(entry)
        if entry.is_racing and entry.held is None:
            self._turns.learn(entry, outcome)
        self._turns.forget(entry)

    def own_ended(self, entry: PendingQuery, outcome: Outcome) -> None:
        """Learn how the own model has ended a query that both answer."""
        self._race.own_ended(entry, outcome)

    def at_last_moment(self, entry: PendingQuery) -> None:
        """Learn that time is up for a query that both answer."""
        self._race.at_last_moment(entry)

    # What the remote engine says of a query; nothing, if that has ended or come back

    def on_text(self, number: int, text: str, response_tokens: int) -> None:
        """Take more text, and the tokens so far."""
        with self._serving():
            entry = self._line.asked.get(number)
            if entry is None or entry.attempt is None:
                return
            attempt, now_s = entry.attempt, self._clock()
            attempt.written(text, response_tokens, now_s)
            if not attempt.is_race:
                entry.bill.written(response_tokens, now_s)
                if not attempt.may_switch:
                    self._writer.chunk(entry, self._turns.settings.chunk_period_s)

    def on_finished(
        self, number: int, finish_reason: FinishReason, bill: Bill, confidence: Confidence
    ) -> None:
        """Take the end of an answer."""
        with self._serving():
            self._line.probe.answered(number)
            entry = self._line.asked.get(number)
            if entry is None:
                return
            end = RemoteEnd(finish_reason, bill, self._clock(), confidence)
            self._line.answered(entry, end)
            if entry.is_racing:
                self._race.remote_ended(entry, end)
            elif finish_reason is not FinishReason.EOS and entry.query.constraint is not None:
                # Half a document; the own model can close what it has written, this node cannot.
                self._give_up(entry, 'the remote answer was cut off by its length')
            else:
                entry.bill.remote_counted(bill)
                entry.confidence = confidence
                self._endings.end(entry, overrun.finished(entry, finish_reason, end.at_s))

    def on_faulted(self, number: int, detail: str, is_link: bool) -> None:
        """Take that there is no answer.

        Arguments:
            is_link: the next query would meet the same.
        """
        with self._serving():
            self._line.probe.faulted(number, detail)
            entry = self._line.asked.get(number)
            if entry is not None:
                if is_link:
                    self._line.failed(detail)
                self._give_up(entry, detail)

    def _ask_only(self, entry: PendingQuery) -> None:
        line, bound = self._line, self._turns.settings.max_queue_length
        why_not = line.why_limited()
        if len(line.asked) >= bound:
            why_not = f'the remote engine is answering {len(line.asked)} queries, and '
            why_not += f'max_queue_length is {bound}'
        if why_not:
            self._endings.end(entry, Miss(MissReason.QUEUE_FULL, why_not))
        elif line.ask(entry, self._attempt(entry)):
            self._turns.withdraw(entry)
        else:
            detail = 'the remote process is being started'
            self._endings.end(entry, Miss(MissReason.ENGINE_FAULT, detail))

    def _ask_first(self, entry: PendingQuery) -> bool:
        """Ask the remote engine, with the own model behind it; return whether it is asked."""
        switch_s, now_s = self._switch_s(entry), self._clock()
        may_switch = now_s < switch_s < entry.last_moment_s
        if len(self._line.asked) >= self._turns.settings.max_queue_length:
            return False
        if not self._line.is_likely(entry, LIKELY_FROM, may_probe=may_switch):
            return False
        if not self._line.ask(entry, self._attempt(entry, may_switch)):
            return False
        self._pending.queue.remove(entry.number)
        self._turns.withdraw(entry)
        if may_switch:
            self._guard.at(switch_s, lambda: self._on_switch(entry.number))
        return True

    def _switch_s(self, entry: PendingQuery) -> float:
        """Return when the own model must begin [s]; infinite: there is none."""
        if not self._turns.is_open:
            return math.inf
        # Without a time model nothing is known of the own model: half of the time is its.
        left_s = entry.last_moment_s - self._clock()
        return entry.last_moment_s - (self._turns.own_time_s(entry) or left_s / 2)

    def _on_switch(self, number: int) -> None:
        """Let the own model begin, unless the remote answer is about to be whole."""
        with self._serving():
            entry = self._line.asked.get(number)
            if entry is None or entry.attempt is None:
                return
            if self._line.is_rest_likely(entry):
                entry.attempt.may_switch = False
                return
            self._line.cut_off(entry)
            self._give_up(entry, 'it was not predicted to be in time any more')

    def _give_up(self, entry: PendingQuery, detail: str) -> None:
        """Have the own model answer, where the policy allows that; else there is no answer."""
        attempt = entry.attempt
        assert attempt is not None
        if attempt.is_race:
            self._race.remote_lost(entry)
            return
        is_only = entry.query.remote_policy is RemotePolicy.ONLY
        # Chunks that are out cannot be taken back, and another model would go on differently.
        if is_only or attempt.own_miss or entry.chunk_count or not self._turns.is_open:
            miss = attempt.own_miss or Miss(MissReason.ENGINE_FAULT, detail)
            self._endings.end(entry, miss)
            return
        self._line.leave(entry)
        entry.bill.came_back(self._clock())
        entry.attempt, entry.text = None, AnswerText.of(entry.query.constraint)
        self._pending.queue.add(entry)
        self._turns.came(entry)

    def _attempt(self, entry: PendingQuery, may_switch: bool = False) -> RemoteAttempt:
        return RemoteAttempt(self._clock(), may_switch, text=entry.text)
