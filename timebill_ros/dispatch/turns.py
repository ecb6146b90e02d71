"""Which queries keep their place in the queue, and which is next."""

from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.deadline import Clock
from timebill_ros.core.outcome import Miss, MissReason, Outcome
from timebill_ros.dispatch import overrun
from timebill_ros.dispatch.admission import Admission
from timebill_ros.dispatch.backend_slot import BackendSlot
from timebill_ros.dispatch.dispatch_settings import DispatchSettings
from timebill_ros.dispatch.endings import Endings
from timebill_ros.dispatch.keep_latest import KeepLatest
from timebill_ros.dispatch.learned_lengths import LearnedLengths
from timebill_ros.dispatch.own_time import own_time_s
from timebill_ros.dispatch.pending_queries import PendingQueries
from timebill_ros.dispatch.pending_query import PendingQuery
from timebill_ros.dispatch.refusals import too_long


class Turns:
    """Gives the backend to one query after the other. Used under the dispatcher's lock.

    Arguments:
        settings: the dispatcher's, which sets others when they change.
        pending: the queries that have not ended.
        slot: the backend.
        endings: ends those that lose their place.
        lengths: learns from answers.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        settings: DispatchSettings,
        pending: PendingQueries,
        slot: BackendSlot,
        endings: Endings,
        lengths: LearnedLengths,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self.planner = BudgetPlanner()
        self.context_length = 0
        self._pending = pending
        self._slot = slot
        self._endings = endings
        self._clock = clock
        self._admission = Admission(lengths)
        self._may_preempt = False
        self._keep_latest = KeepLatest()

    def came(self, entry: PendingQuery) -> None:
        """Take a query that waits now, and is not tokenised."""
        self._give_up(newcomer=entry)  # by its bytes
        if entry.number in self._pending.queue:
            self._slot.submit(entry)

    def tokenised(
        self, entry: PendingQuery, prompt_tokens: int, longest_answer: int, cached_tokens: int
    ) -> None:
        """Take the length of a query that waits: refuse it, or let it wait for its turn.

        Arguments:
            longest_answer: that its constraint allows, or steps to score choices; 0: not known.
            cached_tokens: of the prompt; they need not be read.
        """
        entry.is_tokenised = True
        entry.bill.tokenised(prompt_tokens, cached_tokens)
        miss = too_long(entry.query, prompt_tokens, self.context_length)
        if miss is not None:
            self._endings.end_own(entry, miss)
            return
        bounds = [entry.max_new_tokens, self.context_length - prompt_tokens, longest_answer]
        if entry.is_choice and longest_answer > 0:
            bounds = [longest_answer]  # steps: neither max_new_tokens nor the context bounds them
        entry.max_new_tokens = min(bound for bound in bounds if bound > 0)
        self._admission.tokenised(entry)
        self._give_up(newcomer=entry)
        if entry.number in self._pending.queue:
            self.withdraw(entry)
            self._may_preempt = True

    def recached(self, entry: PendingQuery, cached_tokens: int) -> None:
        """Take how much of a waiting query's prompt is cached: it is admitted anew."""
        entry.bill.tokenised(entry.bill.so_far.prompt_tokens, cached_tokens)
        self._admission.recached(entry)
        self._give_up(newcomer=entry)

    def cache_holds(self, longest_prefix: int, room_tokens: int) -> None:
        """Take the most tokens of a prompt that may be cached, and for how many there is room."""
        self._admission.longest_prefix = longest_prefix
        self._admission.room_tokens = room_tokens

    def ended(self, entry: PendingQuery, outcome: Outcome) -> None:
        """Learn from a query that has run or waited."""
        self.learn(entry, outcome)
        self.forget(entry)

    def learn(self, entry: PendingQuery, outcome: Outcome) -> None:
        """Learn from the own model's part of a query."""
        self._admission.ended(entry, outcome)

    @property
    def is_open(self) -> bool:
        """Whether there is a backend."""
        return self._slot.is_open

    def forget(self, entry: PendingQuery) -> None:
        """Learn that a query has ended that the own model has not answered."""
        asker = entry.query.key.asker
        if not self._pending.of(asker, ''):
            self._keep_latest.none_left(asker)

    def withdraw(self, newcomer: PendingQuery) -> None:
        """End the queries whose place an accepted one takes (keep_latest)."""
        self._withdraw(newcomer, self._replaced(newcomer))

    def own_time_s(self, entry: PendingQuery) -> float:
        """Return how long the own model may need from now, behind what runs and waits [s]."""
        return own_time_s(
            self._admission,
            entry,
            self._waiting(),
            self._running(),
            self.settings,
            self.planner,
            self._clock(),
        )

    def done(self, number: int) -> None:
        """Learn that the backend has ended a query; what that had preempted goes on."""
        self._slot.is_done_with(number)
        resumed = self._pending.get(self._slot.busy_with)
        if resumed is not None and resumed.bill.preempted_at_s is not None:
            resumed.heard_at_s = self._clock()
            resumed.bill.resumed(resumed.heard_at_s)
            self._may_preempt = True

    def start_next(self) -> None:
        """Give the backend to the next query, if it is free or that is urgent enough."""
        if not self._slot.is_open:
            return
        if self._slot.busy_with is None:
            self._give_up()
            self._run_first(self._waiting())
        elif self._may_preempt:
            self._may_preempt = False
            self._preempt()

    def _preempt(self) -> None:
        running, waiting = self._running(), self._waiting()
        if len(running) < len(self._slot.begun):
            return  # one of them has ended, and is being stopped
        if (
            waiting
            and waiting[0].is_tokenised
            and self._admission.preempts(
                waiting, running, self.settings, self.planner, self._clock()
            )
        ):
            running[0].bill.preempted(self._clock())
            self._run_first(waiting)
        else:
            self._endings.resumed(running[0])

    def _run_first(self, waiting: list[PendingQuery]) -> None:
        if waiting and waiting[0].is_tokenised:
            entry = waiting[0]
            planner = overrun.planner_settings(entry, self.planner.settings)
            lengths = self._admission.asker_lengths(entry) if planner.is_learning else None
            self._pending.queue.remove(entry.number)
            entry.heard_at_s = self._clock()
            entry.bill.started(entry.heard_at_s)
            self._slot.run(entry, planner, lengths)

    def _give_up(self, newcomer: PendingQuery | None = None) -> None:
        """End what waits and is not predicted to be completed."""
        replaced = {entry.number for entry in self._replaced(newcomer)}
        running = self._running()
        for refused in self._admission.refused(
            [entry for entry in self._waiting() if entry.number not in replaced],
            [entry for entry in running if entry.number not in replaced],
            newcomer,
            self.settings,
            self.planner,
            self._clock(),
            is_free=not running,
        ):
            refused.entry.bill.expected(refused.plan)
            self._endings.end_own(refused.entry, refused.miss)

    def _replaced(self, newcomer: PendingQuery | None) -> list[PendingQuery]:
        """Return the queries whose place a newcomer takes if it is accepted (keep_latest)."""
        if newcomer is None or not self.settings.keep_latest:
            return []
        return self._keep_latest.replaced(newcomer, self._pending.of(newcomer.query.key.asker, ''))

    def _withdraw(self, newcomer: PendingQuery, replaced: list[PendingQuery]) -> None:
        self._keep_latest.accepted(newcomer, replaced)
        detail = f'the same asker has asked a newer query, {newcomer.query.key.id!r} (keep_latest)'
        for entry in replaced:
            # An answer that is there, and waits for a better one, is not thrown away.
            self._endings.end(entry, entry.held or Miss(MissReason.CANCELLED, detail))

    def _running(self) -> list[PendingQuery]:
        """Return what runs, then what it has preempted, without what has ended."""
        entries = [self._pending.get(number) for number in self._slot.begun]
        return [entry for entry in entries if entry is not None]

    def _waiting(self) -> list[PendingQuery]:
        return self._pending.queue.in_order(self.settings.queue_order)
