"""A dispatcher under load in virtual time: the true times of its backend are drawn from a seed."""

import dataclasses
import heapq
import itertools
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from support.fake_desk import SETTINGS
from timebill_ros.core.asker_lengths import AskerLengths
from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.deadline import Deadline
from timebill_ros.core.outcome import Answer, FinishReason, Outcome, OverrunPolicy
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.core.query import Origin, Query, QueryKey
from timebill_ros.core.time_model import TimeModel
from timebill_ros.dispatch.dispatcher import Dispatcher

MODEL = TimeModel(a=0.0, b=0.0003, c=0.02, p=1e-6, q=0.01, delta=0.25)
"""What the dispatcher believes. An answer of 80 tokens to 1,200 takes 1.27 s."""
SPREAD = 0.25 / 2.326
"""Relative standard deviation of true times if they vary as widely as MODEL's delta says."""
_BYTES_PER_TOKEN = 4
_TOKENISE_S = 0.002
_TEXT_EVERY = 5


@dataclass(frozen=True)
class Ask:
    """A question that is going to be asked, and what it really takes.

    Arguments:
        at_s: when it is asked, after the start [s].
        budget_s: its time budget [s].
        prompt_tokens, max_new_tokens: its lengths.
        response_tokens: its answer's length; shorter than max_new_tokens: it ends by itself.
        slowness: its true times over the predicted ones.
        asker: who asks.
    """

    at_s: float
    budget_s: float
    prompt_tokens: int = 1200
    max_new_tokens: int = 80
    response_tokens: int = 80
    slowness: float = 1.0
    asker: str = 'a'

    @property
    def prefill_s(self) -> float:
        """The true time of its prefill [s]."""
        return self.slowness * MODEL.t_prefill(self.prompt_tokens)

    @property
    def duration_s(self) -> float:
        """The true time of its answer [s]."""
        return self.written_at_s(self.response_tokens)

    def written_at_s(self, tokens: int) -> float:
        """Return how long after its start a number of tokens is written [s]."""
        return self.prefill_s + self.slowness * MODEL.t_decode(self.prompt_tokens, tokens)


def slowness(draw: random.Random, spread: float = SPREAD) -> float:
    """Draw how much slower than predicted a generation is."""
    return max(0.5, draw.gauss(1.0, spread))


@dataclass
class _Run:
    """A query that has begun: what is to happen, at times of its own running [s].

    Arguments:
        stop_at_s: when it stops by itself [s].
        ran_s: how long it ran before it was last paused [s].
        since_s: since when it runs.
        token: changes whenever its clock stops or starts.
    """

    number: int
    stop_at_s: float
    events: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    ran_s: float = 0.0
    since_s: float = 0.0
    token: int = 0
    is_paused: bool = True

    def at(self, ran_s: float, call: Callable[[], None]) -> None:
        """Have something happen when it has run so long."""
        self.events.append((ran_s, call))

    def pause(self, now_s: float) -> None:
        """Stop its clock."""
        if not self.is_paused:
            self.ran_s += now_s - self.since_s
            self.is_paused, self.token = True, self.token + 1

    def go_on(self, now_s: float) -> int:
        """Let its clock run; return its token."""
        self.pause(now_s)
        self.since_s, self.is_paused, self.token = now_s, False, self.token + 1
        return self.token

    def next_event(self) -> tuple[float, Callable[[], None]]:
        """Return when its next event comes if it is not paused, and the event."""
        ran_s, call = self.events[0]
        return self.since_s + max(0.0, ran_s - self.ran_s), call


class Simulation:
    """Asks a dispatcher, and answers as its backend does, on a clock of its own.

    Arguments:
        settings: of the dispatcher, over the desk's.
        stop_s: how long a running query goes on after it was dropped [s].
        policy: of all queries.
    """

    def __init__(
        self,
        stop_s: float = 0.01,
        policy: OverrunPolicy = OverrunPolicy.KILL,
        **settings: Any,
    ) -> None:
        self.now_s = 1000.0
        self.outcomes: dict[int, Outcome] = {}
        self.response_tokens: dict[int, int] = {}
        self._stop_s = stop_s
        self._policy = policy
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._asks: list[Ask] = []
        self._numbers: dict[int, int] = {}
        self._begun: list[_Run] = []
        self.preemptions = 0
        settings = {'max_queue_length': 16, 'abort_grace_s': 1.0, **settings}
        self.dispatcher = Dispatcher(
            dataclasses.replace(SETTINGS, **settings), self, lambda: self.now_s, lambda: ''
        )
        # Its thread sleeps in real time; here its calls come in virtual time.
        self.dispatcher._guard.close()
        self.dispatcher.resume()
        self.dispatcher.open(self, 100_000, BudgetPlanner(time_model=MODEL))

    def play(self, asks: Iterable[Ask]) -> None:
        """Ask all, until all have their replies."""
        self._asks = list(asks)
        for index, ask in enumerate(self._asks):
            self._at(self.now_s + ask.at_s, lambda index=index: self._ask(index))  # type: ignore[misc]
        guard = self.dispatcher._guard
        while self._events or guard._heap:
            source = min(
                (heap for heap in (self._events, guard._heap) if heap), key=lambda heap: heap[0][0]
            )
            time_s, _, call = heapq.heappop(source)
            self.now_s = max(self.now_s, time_s)
            call()

    def on_time(self, least_share: float = 1.0) -> int:
        """Return how many were answered in time, with at least a share of their whole answer."""
        return sum(
            isinstance(outcome, Answer)
            and outcome.deadline_met
            and self.response_tokens[index] >= least_share * self._asks[index].response_tokens
            for index, outcome in self.outcomes.items()
        )

    # The dispatcher's backend

    def submit(self, number: int, query: Query) -> None:
        self._numbers[number] = int(query.key.id)
        tokens = self._asks[int(query.key.id)].prompt_tokens
        self._later(_TOKENISE_S, lambda: self.dispatcher.own.on_tokenised(number, tokens))

    def run(
        self,
        number: int,
        *,
        max_new_tokens: int,
        last_moment_s: float,
        stop_at_s: float,
        planner: PlannerSettings,
        lengths: AskerLengths | None,
    ) -> None:
        ask = self._asks[self._numbers[number]]
        bill = Bill(prompt_tokens=ask.prompt_tokens, kept_tokens=ask.prompt_tokens)
        run = _Run(number, stop_at_s)
        run.at(ask.prefill_s, lambda: self.dispatcher.own.on_planned(number, bill))
        for tokens in range(1, ask.response_tokens, _TEXT_EVERY):
            run.at(
                ask.written_at_s(tokens),
                lambda tokens=tokens: self.dispatcher.own.on_text(number, 'word ', tokens),  # type: ignore[misc]
            )
        is_whole = ask.response_tokens < max_new_tokens
        reason = FinishReason.EOS if is_whole else FinishReason.LENGTH
        run.at(ask.duration_s, lambda: self._finish(number, reason, ask.response_tokens))
        if self._begun:
            self.preemptions += 1
            self._begun[-1].pause(self.now_s)
        self._begun.append(run)
        self._go_on()

    def drop(self, number: int) -> None:
        for run in self._begun:
            if run.number == number:
                run.stop_at_s = min(run.stop_at_s, self.now_s)
                if run is self._begun[-1]:
                    self._go_on()

    def _go_on(self) -> None:
        """Let what runs come to its next event, or stop."""
        if not self._begun:
            return
        run = self._begun[-1]
        token = run.go_on(self.now_s)
        time_s, call = run.next_event()
        if run.stop_at_s < time_s:
            time_s = max(self.now_s, run.stop_at_s) + self._stop_s
            self._at(time_s, lambda: self._step(run, token, lambda: self._stopped(run)))
        else:
            self._at(time_s, lambda: self._step(run, token, call))

    def _step(self, run: '_Run', token: int, call: Callable[[], None]) -> None:
        if run.token != token or run not in self._begun:
            return
        run.pause(self.now_s)
        run.events.pop(0)
        call()
        if self._begun and self._begun[-1] is run and run.token == token + 1:
            self._go_on()

    def _stopped(self, run: '_Run') -> None:
        self._finish(run.number, None, 0)

    def kill(self, detail: str) -> None:
        raise AssertionError(detail)

    # The dispatcher's replies

    def publish_chunk(self, origin: Origin, sequence: int, text: str, bill: Bill) -> None:
        pass

    def publish_outcome(
        self, origin: Origin, outcome: Outcome, bill: Bill, chunk_count: int
    ) -> None:
        index = int(origin.key.id)
        assert index not in self.outcomes
        self.outcomes[index] = outcome
        self.response_tokens[index] = bill.response_tokens

    def _ask(self, index: int) -> None:
        ask = self._asks[index]
        self.dispatcher.submit(
            Query(
                origin=Origin(QueryKey(ask.asker, str(index))),
                prompt='x' * (_BYTES_PER_TOKEN * ask.prompt_tokens),
                system_prompt='',
                max_new_tokens=ask.max_new_tokens,
                overrun_policy=self._policy,
                asked_at_s=self.now_s,
                deadline=Deadline(self.now_s + ask.budget_s, lambda: self.now_s),
            )
        )

    def _finish(self, number: int, reason: FinishReason | None, tokens: int) -> None:
        self._begun.pop()
        self._go_on()
        tokens = tokens or self.response_tokens.get(self._numbers[number], 0)
        self.dispatcher.own.on_finished(
            number, reason, Bill(response_tokens=tokens, total_time=1.0)
        )

    def _at(self, time_s: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time_s, next(self._order), call))

    def _later(self, delay_s: float, call: Callable[[], None]) -> None:
        self._at(self.now_s + delay_s, call)
