"""What the own model's backend says of its queries."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from timebill_ros.core.bill import Bill
from timebill_ros.core.constraint import Closing
from timebill_ros.core.deadline import Clock
from timebill_ros.core.outcome import NOT_KNOWN, Confidence, FinishReason, Miss, MissReason
from timebill_ros.dispatch import overrun
from timebill_ros.dispatch.endings import Endings
from timebill_ros.dispatch.pending_queries import PendingQueries
from timebill_ros.dispatch.pending_query import PendingQuery
from timebill_ros.dispatch.reply_writer import ReplyWriter
from timebill_ros.dispatch.turns import Turns


class OwnAnswers:
    """Takes what the backend says, from any thread; each method takes the dispatcher's lock.

    If a query has ended, only its place becomes free.

    Arguments:
        pending: the queries that have not ended.
        turns: gives queries to the backend.
        endings: ends them.
        writer: takes chunks.
        clock: monotonic seconds.
        serving: takes the dispatcher's lock; at its end, the next query starts.
    """

    def __init__(
        self,
        pending: PendingQueries,
        turns: Turns,
        endings: Endings,
        writer: ReplyWriter,
        clock: Clock,
        serving: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._pending = pending
        self._turns = turns
        self._endings = endings
        self._writer = writer
        self._clock = clock
        self._serving = serving

    def on_tokenised(
        self, number: int, prompt_tokens: int, longest_answer: int = 0, cached_tokens: int = 0
    ) -> None:
        """Take a query's length, its longest answer (0: not known), what is cached [tokens]."""
        with self._heard_of(number) as entry:
            if entry is not None:
                self._turns.tokenised(entry, prompt_tokens, longest_answer, cached_tokens)

    def on_cached(self, number: int, cached_tokens: int) -> None:
        """Take that more or less of a waiting query's prompt is cached: admit it anew."""
        with self._heard_of(number) as entry:
            if entry is not None and entry.is_waiting:
                self._turns.recached(entry, cached_tokens)

    def on_rejected(self, number: int, detail: str) -> None:
        """Refuse a query that cannot be served as it was asked, also while it runs."""
        with self._heard_of(number) as entry:
            self._turns.done(number)
            if entry is not None:
                self._endings.end_own(entry, Miss(MissReason.INVALID_QUERY, detail))

    def on_planned(self, number: int, bill: Bill, predicted: tuple[float, ...] = ()) -> None:
        """Take the bill after the prefill, with what the plan expects, and predicted lengths."""
        with self._heard_of(number) as entry:
            if entry is not None:
                entry.predicted_lengths = predicted
                entry.bill.planned(bill, self._clock())

    def on_text(
        self,
        number: int,
        text: str,
        response_tokens: int,
        thinking_tokens: int = 0,
        closing: Closing | None = None,
    ) -> None:
        """Take more text, often '', what closes it, and the tokens so far: all, and thinking."""
        with self._heard_of(number) as entry:
            if entry is not None:
                entry.bill.written(response_tokens, self._clock(), thinking_tokens)
                entry.text.add(text, closing)
                if not entry.is_racing:
                    self._writer.chunk(entry, self._endings.settings.chunk_period_s)

    def on_finished(
        self,
        number: int,
        finish_reason: FinishReason | None,
        bill: Bill,
        confidence: Confidence = NOT_KNOWN,
    ) -> None:
        """Take the end of a query that ran; finish_reason None: it was stopped."""
        with self._heard_of(number) as entry:
            self._turns.done(number)
            if entry is not None:
                entry.bill.finished(bill)
                entry.confidence = confidence
                self._endings.end_own(entry, overrun.finished(entry, finish_reason, self._clock()))

    def on_faulted(self, number: int, detail: str) -> None:
        """Take the end of a query in an error that the backend survived."""
        with self._heard_of(number) as entry:
            self._turns.done(number)
            if entry is not None:
                self._endings.end_own(entry, Miss(MissReason.ENGINE_FAULT, detail))

    @contextmanager
    def _heard_of(self, number: int) -> Iterator[PendingQuery | None]:
        """Give the query that the backend tells of, unless it is a remote engine's by now."""
        with self._serving():
            entry = self._pending.get(number)
            entry = None if entry is None or entry.is_remote else entry
            if entry is not None:
                entry.heard_at_s = self._clock()
            yield entry
