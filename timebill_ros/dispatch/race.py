"""The policy RACE: the own model and a remote engine answer the same query.

The own model starts at once. The remote answer is the better model's: it is the reply if it is
whole by the last moment. Until then an answer of the own model is held. Nothing is published
before one of the two has won, and the other is stopped then.
"""

from timebill_ros.core.deadline import Clock
from timebill_ros.core.outcome import Answer, FinishReason, Miss, MissReason, Outcome
from timebill_ros.dispatch import overrun
from timebill_ros.dispatch.answer_text import AnswerText
from timebill_ros.dispatch.endings import Endings
from timebill_ros.dispatch.form_check import why_not_of_form
from timebill_ros.dispatch.partial_answer import partial_answer
from timebill_ros.dispatch.pending_query import PendingQuery
from timebill_ros.dispatch.remote_attempt import RemoteAttempt, RemoteEnd
from timebill_ros.dispatch.remote_line import RemoteLine
from timebill_ros.dispatch.reply_writer import ReplyWriter
from timebill_ros.dispatch.turns import Turns

RACED_FROM = 0.1
"""The least probability to be in time with which a remote engine is asked: it costs no time."""
_OVERTAKEN = Miss(MissReason.CANCELLED, 'the remote engine has answered')


class Race:
    """Decides who wins. Used under the dispatcher's lock.

    Arguments:
        line: the remote engine.
        turns: gives the query to the own model.
        endings: ends it.
        writer: takes chunks, once there is a winner.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        line: RemoteLine,
        turns: Turns,
        endings: Endings,
        writer: ReplyWriter,
        clock: Clock,
    ) -> None:
        self._line = line
        self._turns = turns
        self._endings = endings
        self._writer = writer
        self._clock = clock

    def begin(self, entry: PendingQuery) -> None:
        """Ask the remote engine too, if an answer in time is not out of the question."""
        attempt = RemoteAttempt(self._clock(), is_race=True)
        attempt.text = AnswerText.of(entry.query.constraint)
        is_full = len(self._line.asked) >= self._turns.settings.max_queue_length
        if is_full or not self._line.is_likely(entry, RACED_FROM, may_probe=True):
            return
        if self._line.ask(entry, attempt):
            self._turns.withdraw(entry)

    def remote_ended(self, entry: PendingQuery, end: RemoteEnd) -> None:
        """Take the remote answer."""
        assert entry.attempt is not None
        if end.finish_reason is FinishReason.EOS:
            self._remote_wins(entry, end)
        elif entry.query.constraint is not None:
            self.remote_lost(entry)  # half a document
        else:
            entry.attempt.cut = end
            if entry.held is not None:
                self._compare_with_cut(entry, entry.held, end)

    def remote_lost(self, entry: PendingQuery) -> None:
        """Let the own model answer alone; if its answer is there, it is the reply."""
        assert entry.attempt is not None
        if entry.held is not None:
            self._endings.end(entry, entry.held)
            return
        self._line.leave(entry)
        entry.bill.remote_lost(self._clock(), entry.attempt.tokens)
        entry.attempt = None
        self._writer.chunk(entry, self._turns.settings.chunk_period_s)

    def own_ended(self, entry: PendingQuery, outcome: Outcome) -> None:
        """Hold the own model's answer. If there is none, the remote engine goes on alone."""
        attempt = entry.attempt
        assert attempt is not None
        self._turns.learn(entry, outcome)
        if isinstance(outcome, Answer):
            attempt.own = outcome
            if attempt.cut is not None:
                self._compare_with_cut(entry, outcome, attempt.cut)
            return
        attempt.own_miss = outcome
        self._own_loses(entry)
        if attempt.cut is not None:
            self._remote_wins(entry, attempt.cut)
        else:
            self._writer.chunk(entry, self._turns.settings.chunk_period_s)

    def at_last_moment(self, entry: PendingQuery) -> None:
        """Decide with what there is. What the own model has, if anything, is not decided here."""
        attempt = entry.attempt
        assert attempt is not None
        if attempt.own is not None:
            return
        if attempt.cut is not None and self._clock() < entry.query.deadline.at_s:
            self._remote_wins(entry, attempt.cut)
        elif entry.may_be_late and not entry.is_waiting:
            self._line.cut_off(entry)
            self.remote_lost(entry)  # the own model runs on, late; a remote answer never is
        elif entry.may_be_partial and attempt.text.whole_words and partial_answer(entry) is None:
            self._stop_own(entry)

    def _compare_with_cut(self, entry: PendingQuery, own: Answer, end: RemoteEnd) -> None:
        """Choose between both, where the server has cut the remote answer."""
        if own.finish_reason is FinishReason.EOS:
            self.remote_lost(entry)
        else:
            self._remote_wins(entry, end)

    def _remote_wins(self, entry: PendingQuery, end: RemoteEnd) -> None:
        attempt = entry.attempt
        assert attempt is not None
        answer = Answer(attempt.text.text, end.finish_reason, confidence=end.confidence)
        if entry.is_racing and why_not_of_form(answer, entry.query.constraint):
            self.remote_lost(entry)
            return
        if entry.is_racing:
            self._stop_own(entry)
        entry.bill.remote_counted(end.bill)
        entry.confidence = end.confidence
        self._endings.end(entry, overrun.finished(entry, end.finish_reason, end.at_s))

    def _stop_own(self, entry: PendingQuery) -> None:
        """Stop the own model, or throw its answer away."""
        if entry.held is None:
            self._turns.learn(entry, _OVERTAKEN)
        self._endings.drop_own(entry)
        self._own_loses(entry)

    def _own_loses(self, entry: PendingQuery) -> None:
        attempt = entry.attempt
        assert attempt is not None
        entry.bill.own_lost(self._clock(), attempt.tokens)
        attempt.is_race, attempt.own = False, None
        entry.text = attempt.text
