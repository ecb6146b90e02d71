"""The deadline contract under whatever happens in whatever order, with a fake backend."""

import random
from collections import defaultdict

import pytest

from support.fake_backend import (
    Drop,
    FakeBackend,
    Faulted,
    Finished,
    Planned,
    Run,
    Submit,
    Text,
    Tokenised,
)
from support.fake_desk import Desk
from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.constraint import Closing, Constraint, ConstraintKind
from timebill_ros.core.outcome import (
    Answer,
    Confidence,
    FinishReason,
    Miss,
    MissReason,
    OverrunPolicy,
)
from timebill_ros.core.time_model import TimeModel

PLANNER = BudgetPlanner(time_model=TimeModel(a=0.0, b=0.02, c=0.0, p=0.0, q=0.01, delta=0.1))
REGEX = Constraint(ConstraintKind.REGEX, '.*}')
CHOICES = Constraint(ConstraintKind.CHOICES, choices=('GO', 'STOP'))
ENDS = (FinishReason.EOS, FinishReason.EOS, FinishReason.LENGTH)
POLICIES = (OverrunPolicy.KILL, OverrunPolicy.SKIP_NEXT, OverrunPolicy.PARTIAL)


class Fate:
    """Lets a random thing happen to a desk at each step, and remembers what was asked."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.desk = Desk(
            max_queue_length=5,
            max_time_budget_s=20.0,
            queue_order=self.chance.choice(('fifo', 'edf')),
            keep_latest=self.chance.random() < 0.3,
            admission=self.chance.choice(('backlog', 'alone')),
        )
        self.desk.dispatcher.open(self.desk.backend, 100, PLANNER)
        self.asked: dict[str, tuple[OverrunPolicy, float]] = {}
        self.constraints: dict[int, Constraint | None] = {}
        self.texts: defaultdict[int, str] = defaultdict(str)
        self.ended_s: dict[str, float] = {}

    def step(self) -> None:
        kinds = (self.ask, *[self.work] * 6, self.wait, self.wait, self.disturb)
        self.chance.choice(kinds)()
        for query_id in list(self.desk.replies.ended())[len(self.ended_s) :]:
            self.ended_s[query_id] = self.desk.now_s

    def ask(self) -> None:
        query_id, policy = str(len(self.asked)), self.chance.choice(POLICIES)
        budget_s = self.chance.choice((0.01, 0.5, 3.0, 10.0))
        self.asked[query_id] = policy, self.desk.now_s + budget_s - 0.02
        self.desk.submit(
            query_id,
            budget_s,
            asker=self.chance.choice('abc'),
            policy=policy,
            constraint=self.chance.choice((None, None, REGEX, CHOICES)),
        )

    def work(self) -> None:
        """Let the worker do the next thing that it has been told, or write a piece of text."""
        backend = self.desk.backend
        done = {m.number for m in backend.told if isinstance(m, Drop)}
        if todo := [m for m in backend.told if isinstance(m, Submit | Run)]:
            message = todo[0]
            if isinstance(message, Submit):
                backend.told.remove(message)
                self.constraints[message.number] = message.constraint
                longest = self.chance.choice((0, 4)) if message.constraint else 0
                tokens = self.chance.choice((1, 10, 99, 100))
                self.desk.say(Tokenised(message.number, tokens, longest))
            elif message.number in done or self.chance.random() < 0.1:
                backend.told.remove(message)
                reason = None if message.number in done else self.chance.choice(ENDS)
                chosen = 1 if self.constraints[message.number] is CHOICES and reason else -1
                bill = Bill(response_tokens=3)
                self.desk.say(Finished(message.number, reason, bill, Confidence(chosen)))
            elif self.chance.random() < 0.02:
                backend.told.remove(message)
                self.desk.say(Faulted(message.number, 'out of memory'))
            else:
                self.desk.say(
                    Planned(message.number, Bill(prompt_tokens=1, kept_tokens=1))
                    if self.chance.random() < 0.1
                    else self.written(message.number)
                )

    def written(self, number: int) -> Text:
        piece = self.chance.choice((' ', 'word', ' word', 'a b', '人', ''))
        self.texts[number] += piece
        closing = None
        if self.constraints[number] is REGEX and self.chance.random() < 0.7:
            invented = self.chance.choice(((), (), ('/x',)))
            safe_length = self.chance.randint(0, len(self.texts[number]))
            closing = Closing(safe_length, '}', invented, invented)
        return Text(number, piece, 1, closing=closing)

    def wait(self) -> None:
        self.desk.pass_time(self.chance.choice((0.01, 0.1, 1.0)))

    def disturb(self) -> None:
        kind = self.chance.randrange(40)
        if kind < 4:
            self.desk.dispatcher.cancel('a', '', 'withdrawn')
        elif kind == 4:
            self.desk.dispatcher.pause(Miss(MissReason.CANCELLED, 'inactive'))
            self.desk.dispatcher.resume()
        elif kind == 5:
            self.new_backend()
        elif kind == 6:
            self.desk.change(queue_order=self.chance.choice(('fifo', 'edf')))
        if self.desk.backend.killed:
            self.new_backend()

    def new_backend(self) -> None:
        self.desk.dispatcher.close(Miss(MissReason.ENGINE_FAULT, 'died'))
        self.desk.backend = FakeBackend()
        self.desk.dispatcher.open(self.desk.backend, 100, PLANNER)


@pytest.mark.parametrize('seed', range(20))
def test_one_reply_each_on_time_and_chunks_that_join_to_its_text(seed: int) -> None:
    fate = Fate(seed)
    overdue: set[str] = set()
    for _ in range(1500):
        fate.step()
        overdue = {
            query_id
            for query_id, (policy, last_moment_s) in fate.asked.items()
            if query_id not in fate.ended_s and fate.desk.now_s >= last_moment_s
        }
        # One at most is late, under SKIP_NEXT.
        assert len(overdue) <= 1
        assert all(fate.asked[query_id][0] is OverrunPolicy.SKIP_NEXT for query_id in overdue)
    # Without a worker that says anything more, all end all the same.
    fate.desk.pass_time(11.0)
    fate.desk.pass_time(11.0)
    fate.desk.dispatcher.shut_down()

    replies = fate.desk.replies
    assert sorted(outcome[0] for outcome in replies.outcomes) == sorted(fate.asked)
    chunks: defaultdict[str, str] = defaultdict(str)
    counts: defaultdict[str, int] = defaultdict(int)
    for query_id, sequence, text in replies.chunks:
        assert (sequence, bool(text)) == (counts[query_id], True)
        counts[query_id] += 1
        chunks[query_id] += text
    kinds = set()
    for query_id, outcome, bill, chunk_count in replies.outcomes:
        kinds.add(outcome.reason if isinstance(outcome, Miss) else outcome.finish_reason)
        assert chunk_count == counts[query_id]
        if isinstance(outcome, Answer):
            assert outcome.text == chunks[query_id]
            assert outcome.deadline_met or fate.asked[query_id][0] is OverrunPolicy.SKIP_NEXT
            # What is found in time is so by the reserve; what is cut off is so within it.
            is_cut = outcome.finish_reason in (FinishReason.DEADLINE, FinishReason.CLOSED)
            if outcome.finish_reason is FinishReason.CLOSED:
                assert (outcome.closing, outcome.filled) == ('}', ())
            assert outcome.deadline_met == (bill.slack > (0.0 if is_cut else 0.02))
    ends = {FinishReason.EOS, FinishReason.LENGTH}
    assert ends | {MissReason.KILLED, MissReason.EXPIRED} <= kinds
