"""Which queries a remote engine gets, and which come back to this node's own model.

The deadline is watched as that of any query. A remote answer is never late: under SKIP_NEXT too, a
query ends at its last moment. Under PREFER, nothing is published of a remote answer before it is
certain that it will be the answer.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager

from timebill_ros.core.bill import Bill
from timebill_ros.core.deadline import Clock
from timebill_ros.core.link_model import Exchange, LinkModel, LinkState
from timebill_ros.core.outcome import Answer, Confidence, FinishReason, Miss, MissReason, Outcome
from timebill_ros.core.remote_policy import RemotePolicy
from timebill_ros.dispatch import overrun
from timebill_ros.dispatch.answer_text import AnswerText
from timebill_ros.dispatch.deadline_guard import DeadlineGuard
from timebill_ros.dispatch.endings import Endings
from timebill_ros.dispatch.pending_queries import PendingQueries
from timebill_ros.dispatch.pending_query import PendingQuery
from timebill_ros.dispatch.ports import RemoteEngine
from timebill_ros.dispatch.reply_writer import ReplyWriter
from timebill_ros.dispatch.response_lengths import AnswerLength, Habit, ResponseLengths
from timebill_ros.dispatch.turns import Turns

PREFERRED_FROM = 0.8
"""The least probability to be in time with which the remote engine is preferred."""


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
        self._engine: RemoteEngine | None = None
        self._asked: dict[int, PendingQuery] = {}
        self._lengths = ResponseLengths()
        self._link = LinkModel()

    def use(self, engine: RemoteEngine | None) -> None:
        """Take a remote engine, or lose it. What it was asked comes back, or ends."""
        with self._serving():
            self._engine = engine
            for entry in list(self._asked.values()):
                self._give_up(entry, 'the remote engine is no longer used (remote_policy)')

    @property
    def link(self) -> tuple[LinkState, str]:
        """Where the link stands, and its last fault; '': none."""
        with self._serving():
            return self._link.state(self._clock()), self._link.fault

    def takes(self, entry: PendingQuery) -> bool:
        """Give a query that has just come to the remote engine, if its policy says so."""
        policy = entry.query.remote_policy
        if policy is RemotePolicy.OFF:
            return False
        now_s, switch_s = self._clock(), math.inf
        if policy is RemotePolicy.PREFER:
            switch_s = self._switch_s(entry, now_s)
            if not self._is_preferred(entry, switch_s, now_s):
                return False
        self._pending.queue.remove(entry.number)
        if self._is_full:
            bound = self._turns.settings.max_queue_length
            detail = f'the remote engine is answering {len(self._asked)} queries, and '
            detail += f'max_queue_length is {bound}'
            self._endings.end(entry, Miss(MissReason.QUEUE_FULL, detail))
            return True
        self._turns.withdraw(entry)
        self._link.asked(now_s)
        entry.bill.asked_remote(
            now_s, self._link.predicted_s(entry.prompt_bytes, self._likely(entry))
        )
        entry.may_switch = now_s < switch_s < entry.last_moment_s
        self._asked[entry.number] = entry
        query = entry.query
        if self._engine is None or not self._engine.ask(
            entry.number, query, query.max_new_tokens, entry.last_moment_s
        ):
            self._give_up(entry, 'the remote process is being started')
        elif entry.may_switch:
            self._guard.at(switch_s, lambda: self._on_switch(entry.number))
        return True

    def ended(self, entry: PendingQuery, outcome: Outcome) -> None:
        """Learn from a query that has ended, whoever answered it."""
        if self._asked.pop(entry.number, None) is None:
            self._turns.ended(entry, outcome)
            return
        if self._engine is not None:
            self._engine.abort(entry.number)
        self._learn(entry, outcome)
        self._turns.forget(entry)

    # What the remote engine says of a query; nothing, if that has ended or come back

    def on_text(self, number: int, text: str, response_tokens: int) -> None:
        """Take more text, and the tokens so far."""
        with self._serving():
            entry = self._asked.get(number)
            if entry is not None:
                entry.bill.written(response_tokens, self._clock())
                entry.text.add(text)
                if not entry.may_switch:
                    self._writer.chunk(entry, self._turns.settings.chunk_period_s)

    def on_finished(
        self, number: int, finish_reason: FinishReason, bill: Bill, confidence: Confidence
    ) -> None:
        """Take the end of an answer."""
        with self._serving():
            entry = self._asked.get(number)
            if entry is None:
                return
            if finish_reason is not FinishReason.EOS and entry.query.constraint is not None:
                # Half a document; the own model can close what it has written, this node cannot.
                self._give_up(entry, 'the remote answer was cut off by its length')
                return
            entry.bill.remote_counted(bill)
            entry.confidence = confidence
            self._endings.end(entry, overrun.finished(entry, finish_reason, self._clock()))

    def on_faulted(self, number: int, detail: str, is_link: bool) -> None:
        """Take that there is no answer.

        Arguments:
            is_link: the next query would meet the same.
        """
        with self._serving():
            entry = self._asked.get(number)
            if entry is not None:
                if is_link:
                    self._link.failed(detail, self._clock())
                self._give_up(entry, detail)

    def _switch_s(self, entry: PendingQuery, now_s: float) -> float:
        """Return when the own model must begin [s]; infinite: there is none."""
        if not self._turns.is_open:
            return math.inf
        # Without a time model nothing is known of the own model: half of the time is its.
        own_s = self._turns.own_time_s(entry) or (entry.last_moment_s - now_s) / 2
        return entry.last_moment_s - own_s

    def _is_preferred(self, entry: PendingQuery, switch_s: float, now_s: float) -> bool:
        link = self._link
        if self._engine is None or self._is_full or not link.may_be_asked(len(self._asked), now_s):
            return False
        left_s = entry.last_moment_s - now_s
        probability = link.probability(entry.prompt_bytes, self._likely(entry), left_s)
        link.is_slow = probability < PREFERRED_FROM
        may_switch = now_s < switch_s < entry.last_moment_s
        return not link.is_slow or (may_switch and link.may_be_probed(len(self._asked), now_s))

    def _on_switch(self, number: int) -> None:
        """Let the own model begin, unless the remote answer is about to be whole."""
        with self._serving():
            entry = self._asked.get(number)
            if entry is None or entry.bill.remote_from_s is None:
                return
            tokens, now_s = entry.bill.so_far.response_tokens, self._clock()
            left_s = entry.last_moment_s - now_s
            if tokens and self._link.rest_probability(
                self._likely(entry), tokens, left_s
            ) >= PREFERRED_FROM:
                entry.may_switch = False
                return
            self._learn_cut(entry, now_s)
            self._give_up(entry, 'it was not predicted to be in time any more')

    def _give_up(self, entry: PendingQuery, detail: str) -> None:
        """Have the own model answer, where the policy allows that; else there is no answer."""
        is_only = entry.query.remote_policy is RemotePolicy.ONLY
        # Chunks that are out cannot be taken back, and another model would go on differently.
        if is_only or entry.chunk_count or not self._turns.is_open:
            self._endings.end(entry, Miss(MissReason.ENGINE_FAULT, detail))
            return
        del self._asked[entry.number]
        if self._engine is not None:
            self._engine.abort(entry.number)
        entry.may_switch = False
        entry.bill.came_back(self._clock())
        entry.text = AnswerText(entry.query.constraint is not None)
        self._pending.queue.add(entry)
        self._turns.came(entry)

    def _learn(self, entry: PendingQuery, outcome: Outcome) -> None:
        bill, now_s = entry.bill, self._clock()
        if bill.remote_from_s is None:
            return
        tokens = bill.so_far.response_tokens
        is_whole = isinstance(outcome, Answer) and outcome.finish_reason is FinishReason.EOS
        if tokens:
            self._lengths.observe(_habit(entry), AnswerLength(tokens, is_whole))
        if isinstance(outcome, Answer) and bill.written_at_s is not None and tokens:
            first_s = bill.written_at_s - bill.remote_from_s
            token_s = (now_s - bill.written_at_s) / max(1, tokens - 1)
            self._link.answered(Exchange(entry.prompt_bytes, first_s, token_s))
        elif isinstance(outcome, Miss) and outcome.reason is MissReason.KILLED:
            self._learn_cut(entry, now_s)

    def _learn_cut(self, entry: PendingQuery, now_s: float) -> None:
        """Learn from an answer that time cuts off, or that has not even begun."""
        from_s, first_at_s = entry.bill.remote_from_s, entry.bill.written_at_s
        assert from_s is not None
        if first_at_s is None:
            self._link.not_answered(entry.prompt_bytes, now_s - from_s, now_s)
            return
        token_s = (now_s - first_at_s) / max(1, entry.bill.so_far.response_tokens)
        self._link.cut_off(Exchange(entry.prompt_bytes, first_at_s - from_s, token_s))

    @property
    def _is_full(self) -> bool:
        return len(self._asked) >= self._turns.settings.max_queue_length

    def _likely(self, entry: PendingQuery) -> tuple[int, ...]:
        return self._lengths.likely(_habit(entry), entry.query.max_new_tokens)


def _habit(entry: PendingQuery) -> Habit:
    return Habit(entry.query.key.asker, entry.query.constraint)
