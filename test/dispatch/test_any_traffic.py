"""What holds whatever is asked, whatever the backend does, and whatever an operator changes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings

from support.fake_backend import Drop, Faulted, Finished, Planned, Run, Submit, Text, Tokenised
from support.fake_desk import Desk
from support.fake_remote_engine import FakeRemoteEngine
from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.outcome import NOT_KNOWN, FinishReason, Miss, MissReason, OverrunPolicy
from timebill_ros.core.remote_policy import RemotePolicy
from timebill_ros.core.time_model import TimeModel
from timebill_ros.dispatch.preemption import MOST_BEGUN

MODEL = TimeModel(a=0.0, b=0.01, c=0.0, p=0.0, q=0.01, delta=0.3)
CONTEXT = 100
EOS, LENGTH = FinishReason.EOS, FinishReason.LENGTH
POLICIES = (OverrunPolicy.KILL, OverrunPolicy.SKIP_NEXT, OverrunPolicy.PARTIAL)
SHARES = st.sampled_from([0.01, 0.5, 1.0])

ASK = st.tuples(
    st.just('ask'),
    st.sampled_from(['a', 'b', 'c']),
    st.floats(0.0, 6.0),
    st.integers(1, 400),
    st.sampled_from(POLICIES),
    st.sampled_from([1, 2, 60]),
)
STEP = st.one_of(
    ASK,
    ASK,
    st.tuples(st.just('tokenise'), st.integers(1, CONTEXT + 5)),
    st.tuples(st.just('tokenise'), st.integers(1, 50)),
    st.tuples(st.just('write'), st.integers(0, 20)),
    st.tuples(st.sampled_from(['finish', 'fault', 'stop'])),
    st.tuples(st.just('pass'), st.floats(0.0, 2.0)),
    st.tuples(st.just('order'), st.sampled_from(['fifo', 'edf'])),
    st.tuples(st.just('keep_latest'), st.booleans()),
    st.tuples(st.just('preemption'), st.booleans()),
    st.tuples(st.just('share'), SHARES),
    st.tuples(st.just('reserve'), st.sampled_from([0.0, 0.02, 0.5])),
    st.tuples(st.just('probability'), st.sampled_from([0.01, 0.4, 0.99])),
    st.tuples(st.just('cancel'), st.sampled_from(['a', 'b'])),
)
REMOTE_STEP = st.one_of(
    STEP,
    st.tuples(st.just('remote policy'), st.sampled_from(RemotePolicy)),
    st.tuples(st.just('remote text'), st.integers(0, 7), st.integers(1, 20)),
    st.tuples(st.just('remote end'), st.integers(0, 7), st.sampled_from([EOS, LENGTH])),
    st.tuples(st.just('remote fault'), st.integers(0, 7), st.booleans()),
    st.tuples(st.just('remote use'), st.booleans()),
)


class Traffic:
    """Plays steps at a desk, and looks at what comes out."""

    def __init__(self, desk: Desk, model: TimeModel) -> None:
        self.desk = desk
        self.model = model
        self.asked = 0
        self.remote_policy = RemotePolicy.OFF
        self.engine = FakeRemoteEngine()
        self.untokenised: list[int] = []
        self.begun: list[int] = []
        self._heard = 0
        self._was_idle = False
        desk.dispatcher.open(desk.backend, CONTEXT, BudgetPlanner(time_model=model))
        published = desk.replies.publish_outcome
        pending = desk.dispatcher._pending

        def publish(origin: Any, outcome: Any, bill: Bill, chunk_count: int) -> None:
            published(origin, outcome, bill, chunk_count)
            if isinstance(outcome, Miss) and outcome.reason is MissReason.INFEASIBLE:
                left_s = bill.slack - pending_reserve(origin)
                assert model.t_prefill(bill.prompt_tokens) > left_s - 1e-9
            if isinstance(outcome, Miss) and outcome.reason is MissReason.OVERLOADED:
                assert not self._was_idle
                assert outcome.minimum_time_budget_s > 0.0

        def pending_reserve(origin: Any) -> float:
            entries = self.entries[origin.key.id]
            return entries.query.deadline.at_s - entries.last_moment_s

        self.entries: dict[str, Any] = {}
        added = pending.add

        def add(query: Any, settings: Any) -> Any:
            entry = self.entries[query.key.id] = added(query, settings)
            return entry

        pending.add = add  # type: ignore[method-assign]
        desk.replies.publish_outcome = publish  # type: ignore[method-assign]

    @property
    def running(self) -> int | None:
        return self.begun[-1] if self.begun else None

    def play(self, step: tuple[Any, ...]) -> None:
        dispatcher, desk = self.desk.dispatcher, self.desk
        self._was_idle = False
        kind, *values = step
        if kind == 'ask':
            asker, budget_s, size, policy, max_new_tokens = values
            self.ask(asker, budget_s, size, policy, max_new_tokens)
        elif kind == 'tokenise' and self.untokenised:
            self.tokenise(values[0])
        elif kind == 'write' and self.running is not None:
            desk.say(Planned(self.running, Bill(prompt_tokens=5, kept_tokens=5)))
            desk.say(Text(self.running, 'word ', values[0]))
        elif kind in ('finish', 'stop') and self.running is not None:
            reason = FinishReason.EOS if kind == 'finish' else None
            if reason is not None or Drop(self.running) in desk.backend.told:
                self._done(Finished(self.running, reason, Bill(response_tokens=7)))
        elif kind == 'fault' and self.running is not None:
            self._done(Faulted(self.running, 'torn'))
        elif kind == 'pass':
            desk.pass_time(values[0])
        elif kind == 'cancel':
            dispatcher.cancel(values[0], '', 'withdrawn')
        elif kind.startswith('remote'):
            self.play_remote(kind, *values)
        names = {
            'order': 'queue_order',
            'share': 'min_partial_share',
            'keep_latest': 'keep_latest',
            'preemption': 'preemption',
        }
        names |= {'reserve': 'publish_reserve_s', 'probability': 'admission_probability'}
        if kind in names:
            desk.change(**{names[kind]: values[0]})
        self.hear()
        for entry in dispatcher._pending.queue.in_order('fifo'):
            assert entry.last_moment_s > desk.now_s
        waiting = dispatcher._pending.queue.in_order(desk.settings.queue_order)
        assert dispatcher._slot.busy_with is not None or not (
            waiting and waiting[0].is_tokenised
        ), 'the backend is free, and what is next could run'

    def play_remote(self, kind: str, *values: Any) -> None:
        remote = self.desk.dispatcher.remote
        if kind == 'remote policy':
            self.remote_policy = values[0]
        elif kind == 'remote use':
            remote.use(self.engine if values[0] else None)
        elif self.engine.asked:
            number = self.engine.asked[-1 - values[0] % len(self.engine.asked)]
            if kind == 'remote text':
                remote.on_text(number, 'remote ', values[1])
            elif kind == 'remote end':
                bill = Bill(prompt_tokens=5, response_tokens=3)
                remote.on_finished(number, values[1], bill, NOT_KNOWN)
            else:
                remote.on_faulted(number, 'a fault', values[1])

    def ask(
        self, asker: str, budget_s: float, size: int, policy: OverrunPolicy, max_new_tokens: int
    ) -> str:
        query_id = str(self.asked)
        self.asked += 1
        self._was_idle = not self.desk.dispatcher.is_serving
        remote = {'remote_policy': self.remote_policy}
        self.desk.submit(query_id, budget_s, asker, policy, max_new_tokens, 'x' * size, **remote)
        self.hear()
        return query_id

    def tokenise(self, tokens: int) -> None:
        slot, queue = self.desk.dispatcher._slot, self.desk.dispatcher._pending.queue
        self._was_idle = slot.busy_with is None and len(queue) == 1
        self.desk.say(Tokenised(self.untokenised.pop(0), tokens))
        self.hear()

    def hear(self) -> None:
        """Do as the backend is told."""
        told = self.desk.backend.told
        for told_now in told[self._heard :]:
            if isinstance(told_now, Submit):
                self.untokenised.append(told_now.number)
            elif isinstance(told_now, Run):
                settings = self.desk.settings
                may_preempt = settings.preemption and settings.queue_order == 'edf'
                assert len(self.begun) < (MOST_BEGUN if may_preempt else 1)
                self.begun.append(told_now.number)
            elif told_now.number in self.untokenised:
                self.untokenised.remove(told_now.number)
        self._heard = len(told)

    def end(self) -> None:
        self.desk.pass_time(2000.0)
        ids = [outcome[0] for outcome in self.desk.replies.outcomes]
        assert sorted(ids) == sorted(str(number) for number in range(self.asked))

    def _done(self, said: Finished | Faulted) -> None:
        self.begun.pop()
        self.desk.say(said)


@contextmanager
def traffic(model: TimeModel = MODEL, **changes: Any) -> Iterator[Traffic]:
    desk = Desk(max_queue_length=8, **changes)
    try:
        yield Traffic(desk, model)
    finally:
        desk.dispatcher.shut_down()


@pytest.mark.parametrize('model', [MODEL, TimeModel(0.0, 0.0, 0.0, 0.0, 0.0)])
@settings(max_examples=150, deadline=None, derandomize=True)
@given(steps=st.lists(STEP, max_size=40))
def test_every_query_has_one_reply_and_none_is_refused_without_need(
    model: TimeModel, steps: list[tuple[Any, ...]]
) -> None:
    with traffic(model) as at:
        for step in steps:
            at.play(step)
        at.end()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(steps=st.lists(REMOTE_STEP, max_size=40))
def test_every_query_has_one_reply_whoever_answers(steps: list[tuple[Any, ...]]) -> None:
    with traffic(MODEL) as at:
        at.play(('remote use', True))
        at.play(('remote policy', RemotePolicy.RACE))
        for step in steps:
            at.play(step)
        at.end()
        remote = at.desk.dispatcher.remote
        assert not remote._line.asked
        told = at.desk.backend.told
        held = [one.number for one in told if isinstance(one, Submit)]
        for one in told:
            if isinstance(one, Run | Drop) and one.number in held:
                held.remove(one.number)
        assert held == []


@pytest.mark.parametrize('order', ['fifo', 'edf'])
@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    steps=st.lists(STEP.filter(lambda step: step[0] in ('ask', 'tokenise', 'pass', 'write'))),
    share=SHARES,
    probability=st.sampled_from([0.01, 0.4, 0.7, 0.99]),
    tokens=st.integers(1, 99),
    size=st.integers(1, 400),
    budget_s=st.floats(0.05, 3.0),
)
@example(  # its bytes promise more tokens than it has
    steps=[('ask', 'a', 1.0, 168, OverrunPolicy.KILL, 1)],
    share=0.01,
    probability=0.01,
    tokens=66,
    size=35,
    budget_s=2.0,
)
@example(steps=[], share=0.01, probability=0.01, tokens=1, size=19, budget_s=0.25)
@example(steps=[], share=0.01, probability=0.4, tokens=41, size=14, budget_s=1.0)
def test_asked_again_with_the_minimum_time_budget_a_query_is_accepted(
    order: str,
    steps: list[tuple[Any, ...]],
    share: float,
    probability: float,
    tokens: int,
    size: int,
    budget_s: float,
) -> None:
    rules = {'queue_order': order, 'min_partial_share': share}
    with traffic(admission_probability=probability, **rules) as at:
        for step in steps:
            at.play(step)
        while at.untokenised:
            at.tokenise(20)

        for policy in POLICIES:
            stages = []
            stage, miss = _asked(at, budget_s, size, tokens, policy)
            while miss is not None and miss.reason is MissReason.OVERLOADED:
                stages.append(stage)
                assert stages in (['by its bytes'], ['tokenised'], ['by its bytes', 'tokenised'])
                stage, miss = _asked(at, miss.minimum_time_budget_s, size, tokens, policy)


def _asked(
    at: Traffic, budget_s: float, size: int, tokens: int, policy: OverrunPolicy
) -> tuple[str, Miss | None]:
    """Ask, and have it tokenised; return when it was refused, and how."""
    query_id = at.ask('a', budget_s, size, policy, 60)
    stage = 'tokenised' if at.untokenised else 'by its bytes'
    if at.untokenised:
        at.tokenise(tokens)
    for found, outcome, _, _ in at.desk.replies.outcomes:
        if found == query_id and isinstance(outcome, Miss):
            return stage, outcome
    return stage, None
